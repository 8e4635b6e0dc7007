#include "past/report_reader.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "contract/text.h"
#include "past/markdown_blocks.h"
#include "past/past_names.h"
#include "past/report_columns.h"

namespace greta::runner {
namespace {

using Block = MarkdownBlock;

constexpr size_t kReportMost = 16 << 20;

// Sections whose prose a report of ours has too.
struct Section {
  std::string_view head, key, language;  // of the head's words, where it has no (ES) or (EN)
};
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

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return out;
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// "GRETA_X=1", also after `export`; "" for anything else.
std::pair<std::string, std::string> flag_in(std::string_view text) {
  if (text.starts_with("export ")) text.remove_prefix(7);
  const size_t equals = text.find('=');
  if (!text.starts_with("GRETA_") || equals == std::string_view::npos) return {};
  const std::string_view name = text.substr(0, equals);
  if (name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != std::string_view::npos)
    return {};
  std::string value(text.substr(equals + 1));
  if (value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0])
    value = value.substr(1, value.size() - 2);
  return {std::string(name), value};
}

// The language that a heading names; "" when it names none, or both.
std::string language_of(std::string_view heading) {
  const std::string text = lower(heading);
  if (has(text, "(es)")) return "es";
  if (has(text, "(en)")) return "en";
  if (text.starts_with("resultados")) return "es";
  if (text.starts_with("results")) return "en";
  return {};
}

template <class J>
std::string dumped(const J& value) {
  return value.dump(-1, ' ', false, J::error_handler_t::replace);
}

struct Figure {
  std::string identity;  // kind, keys and name
  Json value;
  std::string language;
  size_t table = 0;
  int line = 0;
  bool repeated = false;  // by its twin
};

class Reader {
 public:
  Reader(std::string_view text, const std::string& file_name);
  PastReport read();

 private:
  void read_block(size_t at);
  void heading(const Block& block);
  void facts(const Block& block);
  void flags(const Block& block);
  void caption(const Block& block);
  void table(const Block& block, const Block* above);
  void row(const MarkdownRow& row, const std::vector<ReportColumn>& columns,
           const std::string& kind);
  void add(const std::string& kind, const Json& keys, const std::string& name,
           const ReportCell& cell, int line, bool once);
  void prose();
  void take(int from, int to);

  std::string file_name_;
  std::vector<std::string> lines_;
  std::vector<bool> taken_;
  std::vector<Block> blocks_;
  PastReport out_;
  std::vector<std::string> headings_;  // by level, from 1
  std::string label_;                  // the text before a list
  std::vector<std::string> prompts_;
  Json flags_ = Json::object(), metrics_ = Json::array();
  Json caption_keys_ = Json::object();
  std::string language_, heading_prompt_;
  std::map<std::string, std::vector<Figure>> known_;  // by identity
  size_t table_ = 0;
  std::string commit_, model_, title_;
  Json artifacts_ = Json::array();  // paths of files that the report names
};

Reader::Reader(std::string_view text, const std::string& file_name) : file_name_(file_name) {
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines_.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  taken_.assign(lines_.size() + 1, false);
  blocks_ = markdown_blocks(text);
  headings_.resize(7);
  // Prompts may be named after the first table.
  std::set<std::string> seen;
  for (const Block& block : blocks_) {
    std::vector<std::string> texts = {block.text};
    for (const MarkdownRow& row : block.rows)
      texts.insert(texts.end(), row.cells.begin(), row.cells.end());
    texts.insert(texts.end(), block.header.cells.begin(), block.header.cells.end());
    for (const std::string& part : texts) {
      const std::string id = prompt_in(part);
      if (!id.empty() && seen.insert(id).second) prompts_.push_back(id);
    }
  }
}

void Reader::take(int from, int to) {
  for (int line = std::max(from, 1); line <= to && line < static_cast<int>(taken_.size()); ++line)
    taken_[static_cast<size_t>(line)] = true;
}

void Reader::heading(const Block& block) {
  const auto level = static_cast<size_t>(block.level);
  headings_[level] = block.text;
  for (size_t deeper = level + 1; deeper < headings_.size(); ++deeper) headings_[deeper].clear();
  language_.clear();
  for (const std::string& text : headings_)
    if (const std::string said = language_of(text); !said.empty()) language_ = said;
  heading_prompt_ = prompt_in(block.text);
  caption(block);
  label_ = block.text;
  if (out_.milestone.empty()) {
    out_.milestone = milestone_in(block.text);
    if (!out_.milestone.empty()) {
      take(block.line, block.line);
      const size_t name = lower(block.text).find(lower(out_.milestone));
      title_ = block.text.substr(name == std::string::npos ? 0 : name + out_.milestone.size());
      strip(title_);
    }
  }
}

void Reader::flags(const Block& block) {
  const auto add_flag = [&](std::string_view text, int line) {
    const auto [name, value] = flag_in(text);
    if (name.empty()) return;
    flags_[name] = value;
    take(line, line);
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
  // A flag in a sentence is talk; an item that is a flag, or a list of flags, is a setting.
  const bool is_list = has(lower(block.text.substr(0, block.text.find(':'))), "flag");
  const bool is_item = block.kind == Block::Kind::item;
  if (is_item && block.code_spans.empty() && !has(block.text, " "))
    add_flag(block.text, block.line);
  if (is_item && block.code_spans.size() == 1 && block.text.starts_with(block.code_spans[0]))
    add_flag(block.code_spans[0], block.line);
  if (is_list)
    for (const std::string& span : block.code_spans) add_flag(span, block.line);
}

// Commit, model, date and prompts, where a line says that it has them.
void Reader::facts(const Block& block) {
  const std::string text = lower(block.text);
  const size_t commit_at = text.find("commit");
  if (commit_at != std::string::npos && commit_at < 40) {
    const std::string commit = commit_in(std::string_view(block.text).substr(commit_at));
    const bool better = commit_.empty() || (commit.size() == 40 && commit_.size() < 40);
    if (!commit.empty() && better) commit_ = commit;
    if (!commit.empty()) take(block.line, block.line);
  }
  for (const std::string_view word : {"model:", "modelo:", "model file:"}) {
    const size_t at = text.find(word);
    if (at == std::string::npos || at > 8 || !model_.empty()) continue;
    model_ = block.text.substr(at + word.size(), block.text.find('\n', at) - at - word.size());
    model_.erase(0, model_.find_first_not_of(" *"));
    if (!model_.empty()) take(block.line, block.line);
  }
  if (out_.date.empty() && (text.starts_with("date") || text.starts_with("fecha"))) {
    out_.date = date_in(block.text);
    if (!out_.date.empty()) take(block.line, block.line);
  }
  if (block.kind != Block::Kind::item || block.code_spans.empty()) return;
  if (block.text == block.code_spans[0] && has(block.text, "/") &&
      flag_in(block.text).first.empty()) {
    artifacts_.push_back(block.text);
    take(block.line, block.line);
  }
  if (lower(label_).find("prompt") != std::string::npos &&
      block.text.starts_with(block.code_spans[0])) {
    const std::string& id = block.code_spans[0];
    if (std::find(prompts_.begin(), prompts_.end(), id) == prompts_.end()) prompts_.push_back(id);
    take(block.line, block.line);
  }
}

// "p4_sys (seq_len=206)" above a table: keys of its records, and figures of their own.
void Reader::caption(const Block& block) {
  caption_keys_ = Json::object();
  std::string id = prompt_in(block.text);
  for (const std::string& prompt : prompts_)
    if (id.empty() && block.text.starts_with(prompt)) id = prompt;
  if (id.empty()) id = heading_prompt_;
  if (!id.empty()) caption_keys_["prompt"] = id;
}

void Reader::add(const std::string& kind, const Json& keys, const std::string& name,
                 const ReportCell& cell, int line, bool once) {
  Json figure = {{"metric", name}};
  if (!kind.empty()) figure["record"] = kind;
  for (const auto& [key, value] : keys.items()) figure[key] = value;
  const SortedJson sorted = SortedJson::parse(dumped(figure), nullptr, false);
  Figure now{.identity = dumped(sorted),
             .value = cell.value,
             .language = language_,
             .table = table_,
             .line = line};
  std::vector<Figure>& known = known_[now.identity];
  const Figure* other = nullptr;
  for (Figure& earlier : known) {
    const bool twin = earlier.table != now.table && !now.language.empty() &&
                      !earlier.language.empty() && earlier.language != now.language;
    if (earlier.value == now.value && (twin || once)) {
      out_.twins += twin && !earlier.repeated ? 1 : 0;
      earlier.repeated |= twin;
      return;
    }
    if (twin) other = &earlier;
  }
  if (other != nullptr) {
    out_.contradictions.push_back("line " + std::to_string(line) + " (" + now.language + ") says " +
                                  name + " = " + dumped(now.value) + ", line " +
                                  std::to_string(other->line) + " (" + other->language + ") says " +
                                  dumped(other->value) + " for " + printable(dumped(keys), 120) +
                                  "; both are kept");
  }
  if (!cell.unit.empty()) figure["unit"] = cell.unit;
  if (!cell.bound.empty()) figure["bound"] = cell.bound;
  if (cell.approx) figure["approx"] = true;
  figure["source_line"] = line;
  for (size_t level = headings_.size(); level-- > 1;) {
    if (headings_[level].empty()) continue;
    figure["source_table"] = headings_[level];
    break;
  }
  figure["value"] = cell.value;
  if (!cell.printed.empty()) figure["printed"] = cell.printed;
  known.push_back(std::move(now));
  metrics_.push_back(std::move(figure));
  ++out_.figures;
}

void Reader::row(const MarkdownRow& row, const std::vector<ReportColumn>& columns,
                 const std::string& kind) {
  Json keys = caption_keys_;
  std::string label;
  for (size_t i = 0; i < columns.size() && i < row.cells.size(); ++i) {
    if (columns[i].use == ReportColumn::Use::label) label = plain_name(row.cells[i]);
    if (columns[i].use != ReportColumn::Use::key) continue;
    const ReportCell cell = report_cell(row.cells[i]);
    if (cell.value.is_null()) continue;
    std::string text = row.cells[i];
    strip(text);
    if (columns[i].name == "prompt" && !prompt_in(text).empty()) text = prompt_in(text);
    const bool is_text = columns[i].name == "prompt" || columns[i].name == "variant";
    keys[columns[i].name] = is_text ? Json(text) : cell.value;
  }
  const std::string phase = phase_of_kind(kind);
  if (!phase.empty() && !keys.contains("phase")) keys["phase"] = phase;
  for (size_t i = 0; i < columns.size() && i < row.cells.size(); ++i) {
    const ReportColumn& column = columns[i];
    const bool is_value = column.use == ReportColumn::Use::values;
    if (!is_value && column.use != ReportColumn::Use::field) continue;
    ReportCell cell = report_cell(row.cells[i]);
    if (cell.value.is_null()) continue;
    if (cell.unit.empty()) cell.unit = column.unit;
    Json of_cell = keys;
    for (const auto& [key, value] : column.keys.items()) of_cell[key] = value;
    const std::string name = is_value && !label.empty() ? label : column.name;
    if (name.empty()) continue;
    add(kind, of_cell, name, cell, row.line, false);
  }
  take(row.line, row.line);
}

void Reader::table(const Block& block, const Block* above) {
  const std::vector<ReportColumn> columns = report_columns(block.header.cells, prompts_);
  std::vector<std::string> fields, hints, said;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].use == ReportColumn::Use::field) fields.push_back(columns[i].name);
    hints.push_back(columns[i].kind);
    if (columns[i].use != ReportColumn::Use::label) continue;
    for (const MarkdownRow& row : block.rows)
      if (i < row.cells.size()) fields.push_back(plain_name(row.cells[i]));
  }
  for (const std::string& heading : headings_) said.push_back(lower(heading));
  if (above != nullptr) said.push_back(lower(above->text));
  const std::string kind = report_kind(fields, hints, said);
  ++table_;
  const size_t before = out_.figures + out_.twins;
  for (const MarkdownRow& one : block.rows) row(one, columns, kind);
  if (out_.figures + out_.twins > before) ++out_.tables;
  take(block.header.line, block.header.line);
  if (above == nullptr || !caption_keys_.contains("prompt")) return;
  // What the caption says of the prompt: (seq_len=206).
  Json keys = caption_keys_;
  const std::string phase = phase_of_kind(kind);
  if (!phase.empty()) keys["phase"] = phase;
  const std::string& text = above->text;
  for (size_t at = text.find('='); at != std::string::npos; at = text.find('=', at + 1)) {
    size_t begin = at;
    while (begin > 0 && (std::isalnum(static_cast<unsigned char>(text[begin - 1])) != 0 ||
                         text[begin - 1] == '_'))
      --begin;
    const size_t end = std::min(text.find_first_of(" ,;)\n", at + 1), text.size());
    const ReportCell cell = report_cell(text.substr(at + 1, end - at - 1));
    if (begin == at || cell.printed.empty()) continue;
    add("", keys, plain_name(text.substr(begin, at - begin)), cell, above->line, true);
    take(above->line, above->line);
  }
}

void Reader::read_block(size_t at) {
  const Block& block = blocks_[at];
  if (block.kind == Block::Kind::heading) {
    heading(block);
    return;
  }
  if (block.kind == Block::Kind::table) {
    const Block* const above =
        at > 0 && blocks_[at - 1].kind == Block::Kind::paragraph ? &blocks_[at - 1] : nullptr;
    table(block, above);
    return;
  }
  flags(block);
  facts(block);
  if (block.kind != Block::Kind::paragraph) return;
  label_ = block.text;
  const bool before_table = at + 1 < blocks_.size() && blocks_[at + 1].kind == Block::Kind::table;
  if (before_table || block.is_bold) caption(block);
}

// The sections that a report of ours shows too, as they stand there.
void Reader::prose() {
  Json& entry = out_.entry;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (blocks_[i].kind != Block::Kind::heading || blocks_[i].level < 2) continue;
    const std::string head = lower(blocks_[i].text);
    const auto section =
        std::find_if(std::begin(kSections), std::end(kSections),
                     [&head](const Section& one) { return head.starts_with(one.head); });
    if (section == std::end(kSections)) continue;
    const std::string key(section->key);
    size_t next = i + 1;
    while (next < blocks_.size() && blocks_[next].kind != Block::Kind::heading) ++next;
    if (next == i + 1) continue;
    std::string text;
    for (int line = blocks_[i].last_line + 1; line <= blocks_[next - 1].last_line; ++line) {
      const std::string& one = lines_[static_cast<size_t>(line) - 1];
      if (one == "---" || one == "***") break;  // what follows is no part of the section
      if (!text.empty() || !one.empty()) text += one + "\n";
    }
    while (text.ends_with('\n')) text.pop_back();
    std::string language = language_of(blocks_[i].text);
    if (language.empty()) language = section->language;
    if (has(head, " / ") && !entry.contains(key)) {
      entry[key] = text;  // one text for both languages
    } else if (!entry.contains(key) || entry[key].is_object()) {
      Json& texts = entry[key];
      if (!texts.contains(language)) texts[language] = text;
    }
  }
}

PastReport Reader::read() {
  for (size_t at = 0; at < blocks_.size(); ++at) read_block(at);
  if (out_.milestone.empty()) out_.milestone = milestone_in(file_name_);
  if (const std::string date = date_in(file_name_); !date.empty()) out_.date = date;
  // The folder of the artefacts that the report names is of the day of the run.
  for (size_t i = 0; i < lines_.size() && out_.date.empty(); ++i)
    if (has(lines_[i], "artifacts")) out_.date = date_in(lines_[i]);
  Json& entry = out_.entry;
  entry = {{"milestone", out_.milestone}, {"date", out_.date}, {"source", file_name_}};
  if (!title_.empty()) entry["title"] = {{"en", title_}, {"es", title_}};
  if (!commit_.empty()) entry[commit_.size() == 40 ? "commit" : "commit_stated"] = commit_;
  if (!model_.empty()) entry["model"] = model_;
  entry["flags"] = flags_;
  entry["prompts"] = prompts_;
  if (!artifacts_.empty()) entry["artifacts"] = artifacts_;
  prose();
  if (!out_.contradictions.empty()) entry["note"] = {{"en", joined(out_.contradictions, "\n")}};
  entry["metrics"] = metrics_;
  for (size_t i = 0; i < lines_.size(); ++i)
    if (!taken_[i + 1] && has_number(lines_[i]))
      out_.not_taken.push_back({.line = static_cast<int>(i) + 1, .text = lines_[i]});
  return std::move(out_);
}

}  // namespace

Result<PastReport> read_report(std::string_view text, const std::string& file_name) {
  if (text.size() > kReportMost) {
    return tl::unexpected(Error{.message = "a report is at most 16 MiB", .file = file_name});
  }
  return Reader(text, file_name).read();
}

}  // namespace greta::runner
