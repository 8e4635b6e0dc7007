#pragma once
// What a past report says of itself, outside its tables: milestone, date, commit, model, flags,
// arms, prompts, artefacts and the prose of its sections. Private to `past`.

#include <string>
#include <string_view>
#include <vector>

#include "markdown/markdown_blocks.h"
#include "system/json.h"

namespace greta::runner {

// The text of a report, and which of its lines have been understood.
struct ReportText {
  explicit ReportText(std::string_view text);
  void take(int line);  // from 1; 0 is no line

  std::vector<std::string> lines;
  std::vector<bool> taken;  // taken[line]
  std::vector<MarkdownBlock> blocks;
};

struct ReportFacts {
  std::string milestone, title, date, commit, model;  // "" where the report says nothing
  std::vector<std::string> prompts;                   // in order of appearance
  Json flags = Json::object();                        // name → value
  Json variants = Json::object();                     // arm → flags
  Json artifacts = Json::array();                     // paths of files
  Json prose = Json::object();                        // section → text, or language → text
};

// Takes the lines that it understands.
ReportFacts report_facts(ReportText& text, const std::string& file_name);

// The language that a heading names, es or en; "" when it names none.
std::string heading_language(std::string_view heading);
bool says(std::string_view text, std::string_view part);
std::string lower(std::string_view text);  // of ASCII letters
// Without blanks, dashes, colons and bars in front, and blanks behind.
void strip(std::string& text);

}  // namespace greta::runner
