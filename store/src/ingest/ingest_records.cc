#include "ingest/ingest_records.h"

#include <cstring>
#include <filesystem>

#include "contract/text.h"
#include "store/sha256.h"

namespace greta::store {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

// "out/readout.jsonl" → "readout"
std::string stem(const std::string& name) { return std::filesystem::path(name).stem().string(); }

}  // namespace

FileIngest::FileIngest(Database& db, TypedTables& tables, int64_t bundle,
                       std::map<std::string, int64_t, std::less<>>& requests,
                       std::string default_request)
    : db_(db),
      tables_(tables),
      bundle_(bundle),
      requests_(requests),
      default_request_(std::move(default_request)) {}

Result<> FileIngest::prepare() {
  TRY_ASSIGN(add_record_,
             db_.prepare("INSERT INTO record (id, file, line, byte_offset, length, kind, request,"
                         " state) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
  TRY_ASSIGN(set_state_, db_.prepare("UPDATE record SET state = ?2 WHERE id = ?1"));
  TRY_ASSIGN(add_chunk_, db_.prepare("INSERT INTO content_chunk (content, byte_offset, bytes, zstd)"
                                     " VALUES (?, ?, ?, ?)"));
  TRY_ASSIGN(next_record_, db_.integer("SELECT ifnull(max(id), 0) + 1 FROM record"));
  return {};
}

Result<> FileIngest::add(const ManifestFile& file, BundleSource& source) {
  TRY_ASSIGN(const auto reader, source.open(file.name));
  TRY_ASSIGN(Statement find, db_.prepare("SELECT id FROM content WHERE sha256 = ? AND bytes = ?"));
  TRY_ASSIGN(const bool known, find.bind_all(file.sha256, file.bytes).step());
  keep_pieces_ = !known;
  if (known) {
    content_ = find.integer(0);
  } else {
    TRY_ASSIGN(Statement add, db_.prepare("INSERT INTO content (sha256, bytes) VALUES (?, ?)"));
    TRY(add.bind_all(file.sha256, file.bytes).run());
    content_ = db_.last_insert_id();
  }
  TRY_ASSIGN(Statement add,
             db_.prepare("INSERT INTO bundle_file (bundle, name, role, kind, content)"
                         " VALUES (?, ?, ?, ?, ?)"));
  TRY(add.bind_all(bundle_, file.name, file.role, file.kind, content_).run());
  file_ = db_.last_insert_id();
  is_records_ = file.role == "records";
  kind_name_ = file.kind.empty() ? stem(file.name) : file.kind;
  line_ = line_offset_ = piece_offset_ = 0;
  const int64_t first = next_record_;
  if (auto done = read(file, *reader); !done) {
    if (done.error().file.empty()) done.error().file = source.place(file.name);
    return done;
  }
  if (is_records_) {
    TRY_ASSIGN(Statement lines,
               db_.prepare("UPDATE bundle_file SET first_record = ?2, lines = ?3 WHERE id = ?1"));
    TRY(lines.bind_all(file_, first, next_record_ - first).run());
  }
  return {};
}

// Pieces end at a line end where there is one, so that a line is found in one piece. `buffer` holds
// what has been read and not yet been cut.
Result<> FileIngest::read(const ManifestFile& file, ByteReader& reader) {
  Sha256 sha;
  std::vector<char> buffer(kPieceBytes + LineParser::kPadding);
  size_t filled = 0;
  int64_t total = 0;
  for (bool end = false; !end;) {
    const size_t room = buffer.size() - LineParser::kPadding;
    while (filled < room && !end) {
      TRY_ASSIGN(const size_t got, reader.read(buffer.data() + filled, room - filled));
      sha.update({buffer.data() + filled, got});
      filled += got;
      total += static_cast<int64_t>(got);
      end = got == 0;
    }
    const std::string_view all(buffer.data(), filled);
    size_t cut = filled;
    if (is_records_ && !end) {
      const size_t newline = all.rfind('\n');
      if (newline == std::string_view::npos) {  // a line longer than the buffer
        buffer.resize(room * 2 + LineParser::kPadding);
        continue;
      }
      cut = newline + 1;
    }
    if (cut > 0) TRY(add_piece(all.substr(0, cut)));
    if (is_records_) {
      for (size_t begin = 0; begin < cut;) {
        const size_t newline = all.find('\n', begin);
        const size_t line_end = newline == std::string_view::npos ? cut : newline;
        TRY(add_line(all.substr(begin, line_end - begin), newline == std::string_view::npos));
        begin = line_end + 1;
      }
    }
    std::memmove(buffer.data(), buffer.data() + cut, filled - cut);
    filled -= cut;
  }
  const std::string hash = sha.hex();
  if (total != file.bytes || hash != file.sha256) {
    return fail(Exit::usage, "is not what the manifest says: " + std::to_string(total) +
                                 " bytes, SHA-256 " + hash + ", expected " +
                                 std::to_string(file.bytes) + " bytes, " + file.sha256);
  }
  return {};
}

Result<> FileIngest::add_piece(std::string_view bytes) {
  if (!keep_pieces_) return {};
  // A piece of one huge line is cut anyway: SQLite's blobs have a limit.
  for (size_t at = 0; at < bytes.size(); at += 64 * kPieceBytes) {
    const std::string_view part = bytes.substr(at, 64 * kPieceBytes);
    TRY_ASSIGN(const std::string_view packed, compressor_.compress(part));
    add_chunk_.bind(1, content_).bind(2, piece_offset_).bind(3, part.size());
    TRY(add_chunk_.bind_blob(4, packed).run());
    piece_offset_ += static_cast<int64_t>(part.size());
  }
  return {};
}

Result<int64_t> FileIngest::request_id(std::string_view name) {
  if (last_request_id_ != 0 && name == last_request_) return last_request_id_;
  auto it = requests_.find(name);
  if (it == requests_.end()) {
    TRY_ASSIGN(Statement add,
               db_.prepare("INSERT INTO request (bundle, name, declared) VALUES (?, ?, 0)"));
    TRY(add.bind_all(bundle_, name).run());
    it = requests_.emplace(std::string(name), db_.last_insert_id()).first;
  }
  last_request_ = name;
  last_request_id_ = it->second;
  return it->second;
}

Result<> FileIngest::add_line(std::string_view line, bool torn) {
  const int64_t record = next_record_++;
  const int64_t offset = line_offset_;
  line_offset_ += static_cast<int64_t>(line.size()) + 1;
  LineState state = torn ? LineState::torn : parser_.parse(line, fields_);
  const bool typed = state == LineState::ok || state == LineState::nonstandard;
  std::string_view event, request;
  if (typed) {
    for (const LineField& field : fields_) {  // the last of equal keys wins
      if (field.key == "event")
        event = field.type == ValueType::text ? field.text : std::string_view();
      if (field.key == "request") {
        const bool names_one = field.type == ValueType::text || field.type == ValueType::integer;
        request = names_one ? field.text : std::string_view();
      }
    }
  }
  TRY_ASSIGN(TypedTables::Kind* const kind, tables_.kind(event.empty() ? kind_name_ : event));
  TRY_ASSIGN(const int64_t request_id,
             this->request_id(request.empty() ? default_request_ : request));
  add_record_.bind(1, record).bind(2, file_).bind(3, ++line_).bind(4, offset);
  add_record_.bind(5, line.size()).bind(6, TypedTables::id(*kind)).bind(7, request_id);
  TRY(add_record_.bind(8, static_cast<int64_t>(state)).run());
  if (!typed) return {};
  const TypedTables::Row row{
      .record = record, .request = request_id, .event = event, .request_name = request};
  TRY_ASSIGN(const bool duplicates, tables_.insert(*kind, row, fields_));
  if (duplicates && state == LineState::ok) {
    TRY(set_state_.bind_all(record, static_cast<int64_t>(LineState::duplicate_keys)).run());
  }
  return {};
}

}  // namespace greta::store
