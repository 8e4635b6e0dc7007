#include "ingest/pieces.h"

#include <algorithm>
#include <cstring>

namespace greta::store {
namespace {

constexpr size_t kPieceBytes = 1 << 20;
constexpr size_t kPartBytes = 64 * kPieceBytes;  // SQLite's blobs have a limit
constexpr size_t kMostAhead = 4;                 // pieces: bounds the memory
constexpr int64_t kLargeFile = 16 << 20;

}  // namespace

PieceReader::PieceReader(ByteReader& reader, Wanted wanted)
    : reader_(reader), wanted_(wanted), compressor_(wanted.bytes > kLargeFile) {}

PieceReader::~PieceReader() {
  if (!worker_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  worker_.join();
}

// Reads up to a line end where there is one, so that a line is found in one piece.
Result<> PieceReader::fill(Piece& piece) {
  piece.buffer.resize(std::max(kPieceBytes, 2 * rest_.size()) + LineParser::kPadding);
  std::memcpy(piece.buffer.data(), rest_.data(), rest_.size());
  piece.size = rest_.size();
  rest_.clear();
  while (true) {
    const size_t room = piece.buffer.size() - LineParser::kPadding;
    while (piece.size < room && !at_end_) {
      char* const to = piece.buffer.data() + piece.size;
      TRY_ASSIGN(const size_t got, reader_.read(to, room - piece.size));
      sha_.update({to, got});
      piece.size += got;
      bytes_ += static_cast<int64_t>(got);
      at_end_ = got == 0;
    }
    if (at_end_ || !wanted_.records) return {};
    const size_t newline = std::string_view(piece.buffer.data(), piece.size).rfind('\n');
    if (newline != std::string_view::npos) {
      rest_.assign(piece.buffer.data() + newline + 1, piece.size - newline - 1);
      piece.size = newline + 1;
      return {};
    }
    piece.buffer.resize(2 * room + LineParser::kPadding);  // a line longer than the buffer
  }
}

Result<> PieceReader::parse(Piece& piece) {
  const std::string_view all(piece.buffer.data(), piece.size);
  piece.parts.clear();
  for (size_t at = 0; wanted_.keep && at < all.size(); at += kPartBytes) {
    const std::string_view part = all.substr(at, kPartBytes);
    TRY_ASSIGN(const std::string_view packed, compressor_.compress(part));
    piece.parts.push_back(
        {.bytes = static_cast<int64_t>(part.size()), .zstd = std::string(packed)});
  }
  piece.lines.clear();
  piece.values.clear();
  for (size_t begin = 0; wanted_.records && begin < all.size();) {
    const size_t newline = all.find('\n', begin);
    const bool torn = newline == std::string_view::npos;
    Piece::Line line{.offset = begin,
                     .length = (torn ? all.size() : newline) - begin,
                     .first_field = piece.values.fields.size(),
                     .ends = !torn};
    line.state = parser_.parse(all.substr(begin, line.length), piece.values);
    if (torn && line.state >= LineState::blank) {
      line.state = LineState::torn;
      piece.values.fields.resize(line.first_field);
    } else {
      line.fields = piece.values.fields.size() - line.first_field;
      line.names = names_of(piece.fields_of(line));
      line.same_keys = parser_.same_keys();
    }
    piece.lines.push_back(line);
    begin += line.length + 1;
  }
  return {};
}

void PieceReader::work() {
  std::unique_lock lock(mutex_);
  while (!stopped_ && !finished_) {
    changed_.wait(lock, [&] { return stopped_ || ready_.size() < kMostAhead; });
    if (stopped_) return;
    auto piece = std::make_unique<Piece>();
    if (!spare_.empty()) {
      piece = std::move(spare_.back());
      spare_.pop_back();
    }
    lock.unlock();
    auto done = fill(*piece);
    if (done) done = parse(*piece);
    lock.lock();
    if (!done) {
      error_ = std::move(done.error());
      finished_ = true;
    } else {
      finished_ = at_end_;
      ready_.push_back(std::move(piece));
    }
    changed_.notify_all();
  }
}

Result<const Piece*> PieceReader::next() {
  if (!worker_.joinable()) {
    if (at_end_) return nullptr;
    if (!current_ || !wanted_.ahead) {  // most files are one piece: no thread for them
      if (!current_) current_ = std::make_unique<Piece>();
      TRY(fill(*current_));
      TRY(parse(*current_));
      return current_->size == 0 ? nullptr : current_.get();
    }
    worker_ = std::thread([this] { work(); });
  }
  std::unique_lock lock(mutex_);
  if (current_) spare_.push_back(std::move(current_));
  changed_.wait(lock, [&] { return finished_ || !ready_.empty(); });
  if (ready_.empty()) return error_ ? Result<const Piece*>(tl::unexpected(*error_)) : nullptr;
  current_ = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  return current_->size == 0 ? nullptr : current_.get();
}

}  // namespace greta::store
