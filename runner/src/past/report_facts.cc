#include "past/report_facts.h"

#include <algorithm>
#include <set>

#include "past/past_names.h"
#include "past/written_date.h"

namespace greta::runner {
namespace {

using Block = MarkdownBlock;

// Sections whose prose a report of ours has too.
struct Section {
  std::string_view head, key, language;  // of the head's words, where it has no (ES) or (EN)
};
constexpr size_t kMostPrompts = 1000;  // each is looked for in the head of every column
constexpr Section kSections[] = {
    {"resumen ejecutivo", "summary", "es"},
    {"executive summary", "summary", "en"},
    {"estado inicial", "initial_state", "es"},
    {"initial state", "initial_state", "en"},
    {"cambios", "changes", "es"},
    {"implemented changes", "changes", "en"},
    {"changes", "changes", "en"},
    {"impacto", "impact", "es"},
    {"impact", "impact", "en"},
    {"conclusión", "conclusion", "es"},
    {"conclusion", "conclusion", "en"},
    {"próximo paso", "next", "es"},
    {"next step", "next", "en"},
    {"por qué importa", "why_it_matters", "es"},
    {"why this matters", "why_it_matters", "en"},
};

// The language that a text is written in, by the small words that only one of the two has; "" where
// they do not tell.
std::string language_of(const std::string& text) {
  constexpr std::string_view kSpanish[] = {"el",  "la", "los", "las", "un",  "una", "y",    "de",
                                           "del", "en", "que", "se",  "con", "por", "para", "al"};
  constexpr std::string_view kEnglish[] = {"the", "of",   "and", "to",  "is",  "in", "that",
                                           "for", "with", "by",  "are", "was", "it", "on"};
  int spanish = 0, english = 0;
  const auto has = [](const auto& words, const std::string& word) {
    return std::find(std::begin(words), std::end(words), word) != std::end(words) ? 1 : 0;
  };
  for (const std::string& word : name_words(text)) {
    spanish += has(kSpanish, word);
    english += has(kEnglish, word);
  }
  if (spanish > 2 * english) return "es";
  return english > 2 * spanish ? "en" : "";
}

class FactReader {
 public:
  explicit FactReader(ReportText& text) : text_(text) {}
  ReportFacts read(const std::string& file_name);

 private:
  void find_prompts();
  void add_prompt(const std::string& id);
  void heading(const Block& block);
  void flags(const Block& block);
  void facts(const Block& block);
  void prose();

  ReportText& text_;
  ReportFacts facts_;
  std::string label_;  // the text before a list
};

// Those that any place names: the columns of a table may be named after prompts of a later one.
void FactReader::find_prompts() {
  std::set<std::string> seen;
  for (const Block& block : text_.blocks) {
    std::vector<std::string> texts = {block.text};
    texts.insert(texts.end(), block.code_spans.begin(), block.code_spans.end());
    for (const MarkdownRow& row : block.rows)
      texts.insert(texts.end(), row.cells.begin(), row.cells.end());
    texts.insert(texts.end(), block.header.cells.begin(), block.header.cells.end());
    for (const std::string& part : texts) {
      const std::string id = prompt_in(part);
      if (!id.empty() && seen.insert(id).second) add_prompt(id);
    }
  }
}

void FactReader::add_prompt(const std::string& id) {
  if (facts_.prompts.size() >= kMostPrompts) return;
  if (std::find(facts_.prompts.begin(), facts_.prompts.end(), id) == facts_.prompts.end())
    facts_.prompts.push_back(id);
}

void FactReader::heading(const Block& block) {
  label_ = block.text;
  if (facts_.milestone.empty()) {
    facts_.milestone = milestone_in(block.text);
    if (!facts_.milestone.empty()) {
      text_.take(block.line);
      const size_t name = lower(block.text).find(lower(facts_.milestone));
      facts_.title =
          block.text.substr(name == std::string::npos ? 0 : name + facts_.milestone.size());
      strip(facts_.title);
    }
  }
}

void FactReader::flags(const Block& block) {
  const auto add_flag = [&](std::string_view text, int line) {
    const auto [name, value] = flag_in(text);
    if (name.empty()) return;
    facts_.flags[name] = value;
    text_.take(line);
  };
  if (block.kind == Block::Kind::code) {
    int line = block.line + 1;
    for (size_t at = 0; at < block.text.size(); ++line) {
      const size_t end = std::min(block.text.find('\n', at), block.text.size());
      add_flag(std::string_view(block.text).substr(at, end - at), line);
      at = end + 1;
    }
    return;
  }
  // A flag in a sentence is talk; an item that is a flag, or a list of flags, is a setting. One
  // with a short name before it is an arm: "E1: baseline (`GRETA_X=1`)".
  const size_t colon = std::min(block.text.find(':'), block.text.size());
  const std::string name = block.text.substr(0, colon);
  const std::string words = lower(name);
  const bool is_list = colon < block.text.size() &&
                       (says(words, "flag") || says(words, "traza") || says(words, "trace"));
  const bool is_item = block.kind == Block::Kind::item;
  if (is_item && block.code_spans.empty() && !says(block.text, " "))
    add_flag(block.text, block.line);
  if (is_item && block.code_spans.size() == 1 && block.text.starts_with(block.code_spans[0]))
    add_flag(block.code_spans[0], block.line);
  const bool is_arm = is_item && !is_list && !name.empty() && name.size() <= 8 &&
                      colon < block.text.size() && !says(name, " ");
  for (const std::string& span : block.code_spans) {
    if (is_list) add_flag(span, block.line);
    const auto [flag, value] = flag_in(span);
    if (!is_arm || flag.empty()) continue;
    facts_.variants[name][flag] = value;
    text_.take(block.line);
  }
}

// Commit, model, date and prompts, where a line says that it has them.
void FactReader::facts(const Block& block) {
  const std::string text = lower(block.text);
  const size_t commit_at = text.find("commit");
  if (commit_at != std::string::npos && commit_at < 40) {
    const std::string commit = commit_in(std::string_view(block.text).substr(commit_at));
    const bool better = facts_.commit.empty() || (commit.size() == 40 && facts_.commit.size() < 40);
    if (!commit.empty() && better) facts_.commit = commit;
    if (!commit.empty()) text_.take(block.line);
  }
  for (const std::string_view word : {"model:", "modelo:", "model file:"}) {
    const size_t at = text.find(word);
    if (at == std::string::npos || at > 8 || !facts_.model.empty()) continue;
    facts_.model =
        block.text.substr(at + word.size(), block.text.find('\n', at) - at - word.size());
    facts_.model.erase(0, facts_.model.find_first_not_of(" *"));
    if (!facts_.model.empty()) text_.take(block.line);
  }
  if (facts_.date.empty() && (text.starts_with("date") || text.starts_with("fecha"))) {
    facts_.date = date_in(block.text);
    if (facts_.date.empty()) facts_.date = written_date_in(block.text);
    if (!facts_.date.empty()) text_.take(block.line);
  }
  if (text.starts_with("prompts:") && !block.code_spans.empty()) {
    for (const std::string& id : block.code_spans) add_prompt(id);
    text_.take(block.line);
  }
  if (block.kind != Block::Kind::item || block.code_spans.empty()) return;
  if (block.text == block.code_spans[0] && says(block.text, "/") &&
      flag_in(block.text).first.empty()) {
    facts_.artifacts.push_back(block.text);
    text_.take(block.line);
  }
  if (lower(label_).find("prompt") != std::string::npos &&
      block.text.starts_with(block.code_spans[0])) {
    add_prompt(block.code_spans[0]);
    text_.take(block.line);
  }
}

// The sections that a report of ours shows too, as they stand there.
void FactReader::prose() {
  Json& entry = facts_.prose;
  for (size_t i = 0; i < text_.blocks.size(); ++i) {
    if (text_.blocks[i].kind != Block::Kind::heading || text_.blocks[i].level < 2) continue;
    const std::string head = lower(text_.blocks[i].text);
    const auto section =
        std::find_if(std::begin(kSections), std::end(kSections),
                     [&head](const Section& one) { return head.starts_with(one.head); });
    if (section == std::end(kSections)) continue;
    const std::string key(section->key);
    size_t next = i + 1;
    while (next < text_.blocks.size() && text_.blocks[next].kind != Block::Kind::heading) ++next;
    if (next == i + 1) continue;
    std::string text;
    for (int line = text_.blocks[i].last_line + 1; line <= text_.blocks[next - 1].last_line;
         ++line) {
      const std::string& one = text_.lines[static_cast<size_t>(line) - 1];
      if (one == "---" || one == "***") break;  // what follows is no part of the section
      if (!text.empty() || !one.empty()) text += one + "\n";
    }
    while (text.ends_with('\n')) text.pop_back();
    std::string language = heading_language(text_.blocks[i].text);
    if (language.empty()) language = section->language;
    // A section headed in both languages may be written in one: a report of ours says which.
    if (says(head, " / ")) language = language_of(text);
    if (language.empty() && !entry.contains(key)) {
      entry[key] = text;
    } else if (!entry.contains(key) || entry[key].is_object()) {
      Json& texts = entry[key];
      if (!language.empty() && !texts.contains(language)) texts[language] = text;
    }
  }
}

ReportFacts FactReader::read(const std::string& file_name) {
  find_prompts();
  for (const Block& block : text_.blocks) {
    if (block.kind == Block::Kind::heading) heading(block);
    if (block.kind == Block::Kind::heading || block.kind == Block::Kind::table) continue;
    flags(block);
    facts(block);
    if (block.kind == Block::Kind::paragraph) label_ = block.text;
  }
  prose();
  if (facts_.milestone.empty()) facts_.milestone = milestone_in(file_name);
  if (const std::string date = date_in(file_name); !date.empty()) facts_.date = date;
  // The folder of the artefacts that the report names is of the day of the run.
  for (size_t i = 0; i < text_.lines.size() && facts_.date.empty(); ++i)
    if (says(text_.lines[i], "artifacts")) facts_.date = date_in(text_.lines[i]);
  return std::move(facts_);
}

}  // namespace

void strip(std::string& text) {
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view front : {" ", "-", ":", "|", "—", "–"}) {
      if (!text.starts_with(front)) continue;
      text.erase(0, front.size());
      again = true;
    }
  }
  while (text.ends_with(' ')) text.pop_back();
}

bool says(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return out;
}

// The language that a heading names; "" when it names none, or both.
std::string heading_language(std::string_view heading) {
  const std::string text = lower(heading);
  if (says(text, "(es)")) return "es";
  if (says(text, "(en)")) return "en";
  if (text.starts_with("resultados")) return "es";
  if (text.starts_with("results")) return "en";
  return {};
}

ReportText::ReportText(std::string_view text)
    : lines(markdown_lines(text)), blocks(markdown_blocks(text)) {
  taken.assign(lines.size() + 1, false);
}

void ReportText::take(int line) {
  if (line > 0 && static_cast<size_t>(line) < taken.size()) taken[static_cast<size_t>(line)] = true;
}

ReportFacts report_facts(ReportText& text, const std::string& file_name) {
  return FactReader(text).read(file_name);
}

}  // namespace greta::runner
