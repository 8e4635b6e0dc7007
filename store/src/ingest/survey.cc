#include "store/survey.h"

#include <cstring>
#include <vector>

#include "ingest/ingest_source.h"
#include "store/sha256.h"
#include "tables/ingest_line.h"

namespace greta::store {
namespace {

constexpr size_t kSurveyPiece = 1 << 20;
constexpr size_t kMostPrompts = 1000;  // more is no set of prompts

class LineSurvey {
 public:
  explicit LineSurvey(FileSurvey& out) : out_(out) {}
  void add(std::string_view line, bool torn);

 private:
  FileSurvey& out_;
  LineParser parser_;
  LineValues values_;
};

void LineSurvey::add(std::string_view line, bool torn) {
  ++out_.lines;
  values_.clear();
  LineState state = parser_.parse(line, values_);
  if (torn && state >= LineState::blank) state = LineState::torn;
  if (state != LineState::ok && state != LineState::nonstandard) {
    ++out_.unreadable;
    return;
  }
  const std::string_view event = names_of(values_.fields).event;
  std::string_view prompt;
  for (const LineField& field : values_.fields)  // the last of equal keys wins
    if (field.key == "prompt_id") prompt = field.text;
  ++out_.events[std::string(event)];
  ++out_.prompts[std::string(prompt)];
}

}  // namespace

Result<FileSurvey> survey_file(const std::filesystem::path& folder, const std::string& name,
                               bool is_records) {
  FolderSource source(folder);
  TRY_ASSIGN(const auto reader, source.open(name));
  FileSurvey out;
  LineSurvey lines(out);
  Sha256 sha;
  std::vector<char> buffer(kSurveyPiece + LineParser::kPadding);
  size_t filled = 0;
  while (true) {
    const size_t room = buffer.size() - LineParser::kPadding;
    TRY_ASSIGN(const size_t got, reader->read(buffer.data() + filled, room - filled));
    sha.update({buffer.data() + filled, got});
    out.bytes += static_cast<int64_t>(got);
    filled += got;
    if (!is_records) filled = 0;
    const std::string_view all(buffer.data(), filled);
    size_t begin = 0;
    for (size_t end = 0; (end = all.find('\n', begin)) != std::string_view::npos; begin = end + 1)
      lines.add(all.substr(begin, end - begin), false);
    if (out.prompts.size() > kMostPrompts) {
      return tl::unexpected(Error{
          .message = "has more than " + std::to_string(kMostPrompts) + " different `prompt_id`",
          .file = source.place(name)});
    }
    if (got == 0) {
      if (begin < filled) lines.add(all.substr(begin), true);
      break;
    }
    std::memmove(buffer.data(), buffer.data() + begin, filled - begin);
    filled -= begin;
    if (filled == room) buffer.resize(room * 2 + LineParser::kPadding);
  }
  out.sha256 = sha.hex();
  return out;
}

}  // namespace greta::store
