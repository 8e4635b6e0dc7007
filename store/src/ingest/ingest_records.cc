#include "ingest/ingest_records.h"

#include <filesystem>

namespace greta::store {
namespace {

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
  TRY_ASSIGN(
      add_record_,
      InsertRows::prepare(db_, "INSERT INTO record (id, span, byte_offset, length) VALUES ", 4));
  TRY_ASSIGN(add_chunk_, db_.prepare("INSERT INTO content_chunk (content, byte_offset, bytes, zstd)"
                                     " VALUES (?, ?, ?, ?)"));
  TRY_ASSIGN(next_record_, db_.integer("SELECT ifnull(max(id), 0) + 1 FROM record"));
  TRY_ASSIGN(next_span_, db_.integer("SELECT ifnull(max(id), 0) + 1 FROM span"));
  return {};
}

Result<> FileIngest::add(const ManifestFile& file, BundleSource& source) {
  TRY_ASSIGN(const auto bytes, source.open(file.name));
  TRY_ASSIGN(Statement find, db_.prepare("SELECT id FROM content WHERE sha256 = ? AND bytes = ?"));
  TRY_ASSIGN(const bool known, find.bind_all(file.sha256, file.bytes).step());
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
  const bool is_records = file.role == "records";
  manifest_file_ = &file;
  kind_name_ = file.kind.empty() ? stem(file.name) : file.kind;
  piece_offset_ = part_offset_ = 0;
  const int64_t first = next_record_;
  PieceReader reader(*bytes, {.records = is_records, .keep = !known, .bytes = file.bytes});
  if (auto done = add_pieces(file, reader); !done) {
    if (done.error().file.empty()) done.error().file = source.place(file.name);
    return done;
  }
  if (is_records) {
    TRY(add_spans());
    TRY_ASSIGN(Statement lines,
               db_.prepare("UPDATE bundle_file SET first_record = ?2, lines = ?3 WHERE id = ?1"));
    TRY(lines.bind_all(file_, first, next_record_ - first).run());
  }
  return {};
}

Result<> FileIngest::add_pieces(const ManifestFile& file, PieceReader& reader) {
  while (true) {
    TRY_ASSIGN(const Piece* const piece, reader.next());
    if (piece == nullptr) break;
    TRY(add_parts(*piece));
    for (const Piece::Line& line : piece->lines) TRY(add_line(*piece, line));
    TRY(write_waiting());
    piece_offset_ += static_cast<int64_t>(piece->size);
  }
  const std::string hash = reader.sha256();
  if (reader.bytes() != file.bytes || hash != file.sha256) {
    return fail(Exit::usage, "is not what the manifest says: " + std::to_string(reader.bytes()) +
                                 " bytes, SHA-256 " + hash + ", expected " +
                                 std::to_string(file.bytes) + " bytes, " + file.sha256);
  }
  return {};
}

Result<> FileIngest::add_parts(const Piece& piece) {
  for (const Piece::Part& part : piece.parts) {
    add_chunk_.bind(1, content_).bind(2, part_offset_).bind(3, part.bytes);
    TRY(add_chunk_.bind_blob(4, part.zstd).run());
    part_offset_ += part.bytes;
  }
  return {};
}

Result<> FileIngest::write_records() {
  const bool all = waiting_.size() == InsertRows::kRows;
  Statement& add = all ? add_record_.many : add_record_.one;
  int index = 0;
  for (const Record& record : waiting_) {
    for (const int64_t value : {record.id, record.span, record.byte_offset, record.length})
      add.bind(++index, value);
    if (all) continue;
    TRY(add.run());
    index = 0;
  }
  waiting_.clear();
  return all ? add.run() : Result<>();
}

// What waits points into the piece that the next one replaces.
Result<> FileIngest::write_waiting() {
  TRY(write_records());
  return tables_.write_waiting();
}

Result<> FileIngest::add_spans() {
  TRY_ASSIGN(Statement add,
             db_.prepare("INSERT INTO span (id, file, kind, request, state, first_record,"
                         " last_record, lines) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
  for (const auto& [key, span] : spans_) {
    TRY(add.bind_all(span.id, file_, TypedTables::id(*key.kind), key.request,
                     static_cast<int64_t>(key.state), span.first_record, span.last_record,
                     span.lines)
            .run());
  }
  spans_.clear();
  last_span_ = nullptr;
  return {};
}

FileIngest::Span& FileIngest::span_of(const SpanKey& key, int64_t record) {
  if (last_span_ == nullptr || last_span_->first != key) {
    const auto [at, added] = spans_.try_emplace(key);
    if (added) at->second = {.id = next_span_++, .first_record = record};
    last_span_ = &*at;
  }
  Span& span = last_span_->second;
  span.last_record = record;
  ++span.lines;
  return span;
}

Result<TypedTables::Kind*> FileIngest::kind_of(std::string_view name) {
  if (last_kind_ == nullptr || name != last_kind_name_) {
    TRY_ASSIGN(last_kind_, tables_.kind(name));
    last_kind_name_ = name;
  }
  return last_kind_;
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

// The request of a line that names none: files of a past run say it by their names and by
// `prompt_id`.
std::string_view FileIngest::request_without_name(std::span<const LineField> fields) const {
  std::string_view prompt_id;
  if (!manifest_file_->request_of_prompt.empty())
    for (const LineField& field : fields)  // the last of equal keys wins
      if (field.key == "prompt_id") prompt_id = field.text;
  const auto at = manifest_file_->request_of_prompt.find(prompt_id);
  if (at != manifest_file_->request_of_prompt.end()) return at->second;
  return manifest_file_->request.empty() ? default_request_ : manifest_file_->request;
}

Result<> FileIngest::add_line(const Piece& piece, const Piece::Line& line) {
  const int64_t record = next_record_++;
  const auto fields = piece.fields_of(line);
  const bool typed = line.state == LineState::ok || line.state == LineState::nonstandard;
  const auto& [event, request] = line.names;
  TRY_ASSIGN(TypedTables::Kind* const kind, kind_of(event.empty() ? kind_name_ : event));
  TRY_ASSIGN(const int64_t request_id,
             this->request_id(request.empty() ? request_without_name(fields) : request));
  SpanKey key{.kind = kind, .request = request_id, .state = line.state};
  if (typed) {
    TRY_ASSIGN(const bool duplicates,
               tables_.place(*kind, record, line.names, line.same_keys, fields));
    if (duplicates && line.state == LineState::ok) key.state = LineState::duplicate_keys;
  }
  const Span& span = span_of(key, record);
  waiting_.push_back({.id = record,
                      .span = span.id,
                      .byte_offset = piece_offset_ + static_cast<int64_t>(line.offset),
                      .length = static_cast<int64_t>(line.length)});
  if (waiting_.size() == InsertRows::kRows) TRY(write_records());
  return typed ? tables_.insert(*kind, record, span.id, fields) : Result<>();
}

}  // namespace greta::store
