// Any bytes as a Markdown report of a past milestone: nothing may crash, hang or grow out of
// proportion, and what is read must be what the store takes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "past/past_names.h"
#include "past/report_reader.h"

namespace {

using namespace greta::runner;

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto report = read_report(bytes, "report.md");
  require(report.has_value());
  // A lone carriage return ends a line, too.
  const auto lines =
      1 + std::count_if(bytes.begin(), bytes.end(), [](char c) { return c == '\n' || c == '\r'; });
  const auto is_line = [&](int line) { return line >= 1 && line <= lines; };
  require(report->entry["metrics"].size() == report->figures);
  for (const Json& figure : report->entry["metrics"]) {
    require(!figure["metric"].get<std::string>().empty() && !figure["value"].is_null());
    require(is_line(figure["source_line"].get<int>()));
    if (!figure.contains("printed")) continue;
    const Json number = Json::parse(figure["printed"].get<std::string>(), nullptr, false);
    require(number.is_number() && number == figure["value"]);
  }
  for (const PastLine& line : report->not_taken) require(is_line(line.line) && !line.text.empty());
  require(!report->entry.dump(-1, ' ', false, Json::error_handler_t::replace).empty());
  const FileNameParts parts = file_name_parts(bytes.substr(0, 200));
  require(parts.kind.size() <= 400 + parts.prompt.size());
  return 0;
}
