#include "past/report_reader.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <map>
#include <set>

#include "contract/text.h"
#include "past/past_names.h"
#include "past/report_cell.h"
#include "past/report_columns.h"
#include "past/report_facts.h"
#include "past/report_rows.h"
#include "spec/spec_text.h"

namespace greta::runner {
namespace {

using Block = MarkdownBlock;

constexpr size_t kReportMost = 16 << 20;
// Layers of ranges, in all of a report: a short text must not become figures without number.
constexpr size_t kMostSpread = 100'000;

template <class J>
std::string dumped(const J& value) {
  return value.dump(-1, ' ', false, J::error_handler_t::replace);
}

// Where a figure of one name and keys was first said, in one language.
struct FirstSaid {
  ReportCell cell;
  size_t table = 0;
  int line = 0;
};

// A table that has a figure with this very value, and its language.
struct SameSaid {
  std::string language;
  size_t table = 0;
  bool repeated = false;  // by its twin
};

// A head that names phase and field tells its kind by itself.
bool tells_by_itself(const ReportColumn& field) {
  return field.keys.contains("phase") && !field.kind.empty();
}

// The figures of the tables.
class Reader {
 public:
  Reader(ReportText& text, const std::vector<std::string>& prompts)
      : text_(text), prompts_(prompts) {}
  void read(PastReport& report);

 private:
  void heading(const Block& block);
  void caption(const Block& block);
  void table(const Block& block, const Block* above);
  void caption_figures(const Block& above, const std::string& kind);
  void set_heading(const Block& block);
  void find_marks();
  MarkProofs proofs_of(const Block& table) const;
  void row(const TableRow& row, const std::vector<ReportColumn>& columns, const std::string& kind);
  std::vector<int> spread_layers(const std::string& cell);
  void cells_of_row(const TableRow& row, const std::vector<ReportColumn>& columns,
                    const std::string& kind, const Json& keys, const ReportColumn& label);
  void say(const ReportColumn& field);
  void say_name(const PastHead& name);
  void say_text(int line, const std::string& text);
  void add(const std::string& kind, const Json& keys, const std::string& name,
           const ReportCell& cell, int line, bool once);

  ReportText& text_;
  const std::vector<std::string>& prompts_;
  PastReport out_;
  Json metrics_ = Json::array();
  std::vector<std::string> headings_ = std::vector<std::string>(7);  // by level, from 1
  Json caption_keys_ = Json::object();
  std::string language_, heading_prompt_;
  std::map<std::string, std::vector<SameSaid>> same_;                   // by figure and value
  std::map<std::string, std::map<std::string, FirstSaid>> first_said_;  // by figure, by language
  std::set<std::string> said_;                                          // of `heads` and `texts`
  size_t table_ = 0;
  size_t layers_left_ = kMostSpread;
  NumberMarks marks_;                         // of the table at hand
  std::map<std::string, MarkProofs> proofs_;  // by the language of the tables' section
  bool compares_phases_ = false;              // of the table at hand: prefill_last against decode0
};

void Reader::set_heading(const Block& block) {
  const auto level = static_cast<size_t>(block.level);
  headings_[level] = block.text;
  for (size_t deeper = level + 1; deeper < headings_.size(); ++deeper) headings_[deeper].clear();
  language_.clear();
  for (const std::string& text : headings_)
    if (const std::string said = heading_language(text); !said.empty()) language_ = said;
}

// What the numbers of the tables prove, by language: each has its own decimal mark.
void Reader::find_marks() {
  for (const Block& block : text_.blocks) {
    if (block.kind == Block::Kind::heading) set_heading(block);
    if (block.kind == Block::Kind::table) proofs_[language_].add(proofs_of(block));
  }
  for (std::string& heading : headings_) heading.clear();
  language_.clear();
}

MarkProofs Reader::proofs_of(const Block& table) const {
  MarkProofs out;
  for (const MarkdownRow& row : table.rows)
    for (const std::string& cell : row.cells) out.add(report_cell(cell).proves);
  return out;
}

void Reader::heading(const Block& block) {
  set_heading(block);
  heading_prompt_ = prompt_in(block.text);
  caption(block);
}

// "p4_sys (seq_len=206)" above a table: keys of its records, and figures of their own.
void Reader::caption(const Block& block) {
  caption_keys_ = Json::object();
  std::string id = prompt_in(block.text);
  for (const std::string& prompt : prompts_)
    if (id.empty() && block.text.starts_with(prompt)) id = prompt;
  if (id.empty()) id = heading_prompt_;
  if (!id.empty()) caption_keys_["prompt"] = id;
  if (const std::string arm = arm_in(block.text); !id.empty() && !arm.empty())
    caption_keys_["variant"] = arm;
}

void Reader::add(const std::string& kind, const Json& keys, const std::string& name,
                 const ReportCell& cell, int line, bool once) {
  Json figure = {{"metric", name}};
  if (!kind.empty()) figure["record"] = kind;
  for (const auto& [key, value] : keys.items()) figure[key] = value;
  const std::string identity = dumped(SortedJson::parse(dumped(figure), nullptr, false));
  const auto is_twin = [&](const std::string& language, size_t table) {
    return table != table_ && !language.empty() && !language_.empty() && language != language_;
  };
  std::vector<SameSaid>& same = same_[identity + "=" + dumped(cell.value)];
  bool known = false;
  for (SameSaid& one : same) {
    const bool twin = is_twin(one.language, one.table);
    known |= one.language == language_ && one.table == table_;
    if (!twin && !once) continue;
    out_.twins += twin && !one.repeated ? 1 : 0;
    one.repeated |= twin;
    return;
  }
  if (!known) same.push_back({.language = language_, .table = table_, .repeated = false});
  auto& first = first_said_[identity];
  for (const auto& [language, other] : first) {
    if (!is_twin(language, other.table) || may_be_equal(cell, other.cell)) continue;
    out_.contradictions.push_back(
        "line " + std::to_string(line) + " (" + language_ + ") says " + name + " = " +
        dumped(cell.value) + ", line " + std::to_string(other.line) + " (" + language + ") says " +
        dumped(other.cell.value) + " for " + printable(dumped(keys), 120) + "; both are kept");
  }
  first.try_emplace(language_, FirstSaid{.cell = cell, .table = table_, .line = line});
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
  metrics_.push_back(std::move(figure));
  ++out_.figures;
}

std::vector<int> Reader::spread_layers(const std::string& cell) {
  std::vector<int> out = layers_in(cell, layers_left_);
  if (out.size() > 1) layers_left_ -= out.size();
  return out;
}

void Reader::row(const TableRow& row, const std::vector<ReportColumn>& columns,
                 const std::string& kind) {
  Json keys = caption_keys_;
  ReportColumn label;
  std::vector<int> layers;
  if (!row.row.empty()) keys["row"] = row.row;
  for (size_t i = 0; i < columns.size() && i < row.cells.size(); ++i) {
    const bool names_row = !row.row.empty() && row.row_column == i;
    if (columns[i].use == ReportColumn::Use::label) label = report_label(row.cells[i]);
    if (columns[i].use != ReportColumn::Use::key || names_row) continue;
    const std::string& name = columns[i].name;
    if (name == "layer") layers = spread_layers(row.cells[i]);
    const Json key =
        layers.empty() || name != "layer" ? key_value(name, row.cells[i], marks_) : Json(layers[0]);
    if (key.is_null()) continue;
    keys[name] = key;
    if (name == "phase" && key == "prefill" && kind == "readout") keys[name] = "prefill_last";
    const std::string phase = name == "phase" ? keys[name].get<std::string>() : "";
    if (!is_plainly(phase, row.cells[i]) && !phase.empty())
      say_name({.head = row.cells[i], .field = phase, .keys = Json::object()});
    const bool is_name = name == "prompt" || name == "variant" || name == "phase";
    if (key.is_string() && !is_name && has_digit(row.cells[i])) say_text(row.line, row.cells[i]);
  }
  text_.take(row.line);
  if (layers.empty()) cells_of_row(row, columns, kind, keys, label);
  // "0,1,2,31": what the row says holds for each.
  for (const int layer : layers) {
    keys["layer"] = layer;
    cells_of_row(row, columns, kind, keys, label);
  }
}

// Where a reader could look for the figure under the words of the report in vain.
void Reader::say(const ReportColumn& field) {
  if (is_plainly(field.name, field.head) && field.keys.empty()) return;
  say_name({.head = field.written, .field = field.name, .keys = field.keys});
}

void Reader::say_name(const PastHead& name) {
  if (said_.insert(name.head + "\n" + name.field + "\n" + dumped(name.keys)).second)
    out_.heads.push_back(name);
}

void Reader::say_text(int line, const std::string& text) {
  // A row may hold for several layers.
  if (said_.insert(std::to_string(line) + "\n" + text).second)
    out_.texts.push_back({.line = line, .text = text});
}

// A unit that its column does not settle (8 B: bytes, or billions) leaves the cell a text.
void settle_unit(ReportCell& cell, const std::string& text, const std::string& name) {
  const std::string unit = unit_under(cell.unit, name);
  const std::string of_spread = cell.spread ? unit_under(cell.spread->unit, name) : "";
  const bool unclear = unit.empty() != cell.unit.empty() ||
                       (cell.spread && of_spread.empty() != cell.spread->unit.empty());
  if (unclear) {
    cell = {.value = text, .printed = {}, .unit = {}, .bound = {}};
    return;
  }
  cell.unit = unit;
  if (cell.spread) cell.spread->unit = of_spread;
}

void Reader::cells_of_row(const TableRow& row, const std::vector<ReportColumn>& columns,
                          const std::string& kind, const Json& keys, const ReportColumn& label) {
  for (size_t i = 0; i < columns.size() && i < row.cells.size(); ++i) {
    const ReportColumn& column = columns[i];
    const bool is_value = column.use == ReportColumn::Use::values;
    if (!is_value && column.use != ReportColumn::Use::field) continue;
    if (!row.row.empty() && row.row_column == i) continue;
    ReportCell cell = report_cell(row.cells[i], marks_);
    if (cell.value.is_null()) continue;
    const ReportColumn& field = is_value && !label.name.empty() ? label : column;
    settle_unit(cell, row.cells[i], field.name);
    if (cell.unit.empty()) cell.unit = field.unit.empty() ? column.unit : field.unit;
    Json of_cell = keys;
    for (const auto& [key, value] : column.keys.items()) of_cell[key] = value;
    for (const auto& [key, value] : field.keys.items()) of_cell[key] = value;
    std::string name = name_with_unit(field.name, cell.unit);
    if (name.empty()) {
      out_.not_taken.push_back(
          {.line = row.line, .text = "`" + row.cells[i] + "` has no name in its row or head"});
      continue;
    }
    name += column.ending;
    say(field);
    if (!column.ending.empty())
      say_name({.head = column.written, .field = name, .keys = column.keys});
    if (cell.value.is_string() && has_digit(row.cells[i])) say_text(row.line, row.cells[i]);
    const std::string& of_kind = tells_by_itself(field) ? field.kind : kind;
    const bool is_difference = name.ends_with("_mae") || name.ends_with("_diff");
    if (!of_cell.contains("phase")) {
      const std::string phase = phase_of_kind(of_kind);
      if (!phase.empty()) of_cell["phase"] = phase;
      if (phase.empty() && compares_phases_ && is_difference)
        of_cell["phase"] = "prefill_last_vs_decode0";
    }
    add(of_kind, of_cell, name, cell, row.line, false);
    if (!cell.spread) continue;
    ReportCell spread{.value = Json::parse(cell.spread->printed),
                      .printed = cell.spread->printed,
                      .unit = cell.spread->unit.empty() ? cell.unit : cell.spread->unit,
                      .bound = {}};
    add(of_kind, of_cell, name + "__spread", spread, row.line, false);
  }
}

void Reader::table(const Block& block, const Block* above) {
  const std::vector<ReportColumn> columns = report_columns(block.header.cells, prompts_);
  std::vector<std::string> fields, hints, said;
  bool of_readout = false;
  for (size_t i = 0; i < columns.size(); ++i) {
    const auto add_field = [&](const ReportColumn& field) {
      of_readout |= tells_by_itself(field);
      if (tells_by_itself(field)) return;
      hints.push_back(field.kind);
      fields.push_back(field.name);
    };
    if (columns[i].use == ReportColumn::Use::field) add_field(columns[i]);
    if (columns[i].use != ReportColumn::Use::label) continue;
    for (const MarkdownRow& row : block.rows)
      if (i < row.cells.size()) add_field(report_label(row.cells[i]));
  }
  for (const std::string& heading : headings_) said.push_back(lower(heading));
  if (above != nullptr) said.push_back(lower(above->text));
  compares_phases_ = std::any_of(said.begin(), said.end(), [](const std::string& text) {
    return says(text, "prefill_last vs decode0");
  });
  std::string kind = report_kind(fields, hints, said);
  // What stands beside top-1 and gap and is no difference speaks of the readout too.
  const bool has_difference = std::any_of(
      fields.begin(), fields.end(),
      [](const std::string& name) { return name.ends_with("_mae") || name.ends_with("_diff"); });
  if (kind.empty() && of_readout && !has_difference) kind = "readout";
  MarkProofs around = proofs_[language_];
  if (language_.empty())
    for (const auto& [language, proofs] : proofs_) around.add(proofs);
  else
    around.add(proofs_[""]);
  marks_ = marks_of(proofs_of(block), around);
  TableRows rows = table_rows(block, columns);
  for (const PastHead& name : rows.names) say_name(name);
  std::move(rows.not_taken.begin(), rows.not_taken.end(), std::back_inserter(out_.not_taken));
  ++table_;
  const size_t before = out_.figures + out_.twins;
  for (const TableRow& one : rows.rows) row(one, columns, kind);
  if (out_.figures + out_.twins > before) ++out_.tables;
  text_.take(block.header.line);
  for (const MarkdownRow& one : block.rows) text_.take(one.line);
  if (above != nullptr) caption_figures(*above, kind);
}

// What the caption says of its prompt: (seq_len=206).
void Reader::caption_figures(const Block& above, const std::string& kind) {
  if (!caption_keys_.contains("prompt")) return;
  Json keys = caption_keys_;
  const std::string phase = phase_of_kind(kind);
  if (!phase.empty()) keys["phase"] = phase;
  const std::string& text = above.text;
  for (size_t at = text.find('='); at != std::string::npos; at = text.find('=', at + 1)) {
    size_t begin = at;
    while (begin > 0 && (std::isalnum(static_cast<unsigned char>(text[begin - 1])) != 0 ||
                         text[begin - 1] == '_'))
      --begin;
    const size_t end = std::min(text.find_first_of(" ,;)\n", at + 1), text.size());
    const std::string value = text.substr(at + 1, end - at - 1);
    const std::string name = plain_name(text.substr(begin, at - begin));
    ReportCell cell = report_cell(value, marks_);
    settle_unit(cell, value, name);
    if (begin == at) continue;
    if (cell.printed.empty()) {
      if (has_digit(value)) say_text(above.line, text.substr(begin, end - begin));
      continue;
    }
    add("", keys, name, cell, above.line, true);
    text_.take(above.line);
  }
}

void Reader::read(PastReport& report) {
  find_marks();
  const std::vector<Block>& blocks = text_.blocks;
  for (size_t at = 0; at < blocks.size(); ++at) {
    const Block& block = blocks[at];
    const Block* const above =
        at > 0 && blocks[at - 1].kind == Block::Kind::paragraph ? &blocks[at - 1] : nullptr;
    if (block.kind == Block::Kind::heading) heading(block);
    if (block.kind == Block::Kind::table) table(block, above);
    if (block.kind != Block::Kind::paragraph) continue;
    const bool before_table = at + 1 < blocks.size() && blocks[at + 1].kind == Block::Kind::table;
    if (before_table || block.is_bold) caption(block);
  }
  // Few are shown: those that begin like a number before names such as pp512.
  std::stable_partition(out_.texts.begin(), out_.texts.end(), [](const PastLine& one) {
    return std::isalpha(static_cast<unsigned char>(one.text[0])) == 0;
  });
  report = std::move(out_);
  report.entry["metrics"] = std::move(metrics_);
}

}  // namespace

Result<PastReport> read_report(std::string_view bytes, const std::filesystem::path& file) {
  const std::string file_name = file.filename().string();
  if (bytes.size() > kReportMost) {
    return tl::unexpected(Error{.message = "a report is at most 16 MiB", .file = file_name});
  }
  ReportText text(bytes);
  ReportFacts facts = report_facts(text, file_name);
  if (facts.date.empty()) facts.date = date_in(file.parent_path().string());
  PastReport out;
  Reader(text, facts.prompts).read(out);
  Json entry = {{"milestone", facts.milestone}, {"date", facts.date}, {"source", file_name}};
  if (!facts.title.empty()) entry["title"] = {{"en", facts.title}, {"es", facts.title}};
  if (!facts.commit.empty())
    entry[facts.commit.size() == 40 ? "commit" : "commit_stated"] = facts.commit;
  if (!facts.model.empty()) entry["model"] = facts.model;
  entry["flags"] = facts.flags;
  if (!facts.variants.empty()) entry["variants"] = facts.variants;
  entry["prompts"] = facts.prompts;
  if (!facts.artifacts.empty()) entry["artifacts"] = facts.artifacts;
  entry.update(facts.prose);
  if (!out.contradictions.empty()) entry["note"] = {{"en", joined(out.contradictions, "\n")}};
  entry["metrics"] = std::move(out.entry["metrics"]);
  out.entry = std::move(entry);
  out.milestone = facts.milestone;
  out.date = facts.date;
  for (size_t i = 0; i < text.lines.size(); ++i)
    if (first_invalid_utf8(text.lines[i])) out.not_utf8.push_back(static_cast<int>(i) + 1);
  for (size_t i = 0; i < text.lines.size(); ++i)
    if (!text.taken[i + 1] && has_number(text.lines[i]))
      out.not_taken.push_back({.line = static_cast<int>(i) + 1, .text = text.lines[i]});
  std::stable_sort(out.not_taken.begin(), out.not_taken.end(),
                   [](const PastLine& a, const PastLine& b) { return a.line < b.line; });
  return out;
}

}  // namespace greta::runner
