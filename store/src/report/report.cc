#include "store/report.h"

#include <nlohmann/json.hpp>

#include "report/report_tables.h"
#include "store/gates.h"

namespace greta::store {

namespace {

using nlohmann::json;

// Text of one language: a string, or a list of strings as bullets. Text in one language only is
// shown in the other with its language before it, rather than left out.
std::string prose_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return "";
  std::string out;
  for (const json& item : value) {
    if (item.is_string()) out += "- " + item.get<std::string>() + "\n";
  }
  return out;
}

std::string in_language(const json& value, Language language) {
  if (!value.is_object()) return prose_text(value);
  const std::string wanted = language == Language::es ? "es" : "en";
  const std::string other = language == Language::es ? "en" : "es";
  if (value.contains(wanted)) return prose_text(value[wanted]);
  if (value.contains(other)) return "*(" + other + ")* " + prose_text(value[other]);
  return "";
}

class Report {
 public:
  Report(Store& store, const RunInfo& run, Language language)
      : run_(run),
        language_(language),
        prose_(json::parse(run.prose.empty() ? "{}" : run.prose, nullptr, false)),
        out_(store, run) {}
  Result<std::string> write();

 private:
  // The languages that text is written in, one after the other.
  std::vector<Language> languages() const {
    if (language_ == Language::both) return {Language::es, Language::en};
    return {language_};
  }
  std::string heading_of(Label id, Language language) const {
    const std::string mark = language == Language::es ? " (ES)" : " (EN)";
    return label(id, language) + (language_ == Language::both ? mark : "");
  }
  std::string prose(const char* key, Language language) const {
    return prose_.is_object() && prose_.contains(key) ? in_language(prose_[key], language) : "";
  }
  void prose_section(Label id, const char* key);
  void title();
  Result<> summary();

  const RunInfo& run_;
  Language language_;
  json prose_;
  ReportWriter out_;
};

void Report::title() {
  const json titles = json::parse(run_.title.empty() ? "{}" : run_.title, nullptr, false);
  std::string text;
  for (const Language language : languages()) {
    const std::string one = titles.is_discarded() ? "" : in_language(titles, language);
    if (!one.empty() && one != text) text += (text.empty() ? "" : " / ") + one;
  }
  out_.heading(1, escape_markdown(run_.milestone) + (text.empty() ? "" : " — " + text));
}

void Report::prose_section(Label id, const char* key) {
  // A text that names no language is one text, not a translation of itself.
  if (language_ == Language::both && prose_.is_object() && prose_.contains(key) &&
      !prose_[key].is_object()) {
    const std::string text = prose_text(prose_[key]);
    if (text.empty()) return;
    out_.heading(2, label(id, language_));
    out_.line(text);
    return;
  }
  for (const Language language : languages()) {
    const std::string text = prose(key, language);
    if (text.empty()) continue;
    out_.heading(2, heading_of(id, language));
    out_.line(text);
  }
}

Result<> Report::summary() {
  TRY_ASSIGN(const auto gates, stored_gates(out_.store(), run_.id));
  size_t passed = 0;
  for (const GateOutcome& gate : gates) passed += gate.status == GateStatus::pass ? 1 : 0;
  const std::string cells = std::to_string(run_.cells), failed = std::to_string(run_.failed),
                    cached = std::to_string(run_.cached);
  for (const Language language : languages()) {
    out_.heading(2, heading_of(Label::executive_summary, language));
    const std::string question = prose("question", language);
    if (!question.empty()) out_.line("**" + label(Label::question, language) + ":** " + question);
    const std::string summary = prose("summary", language);
    if (!summary.empty()) out_.line(summary);
    if (run_.provenance == "recorded") {
      out_.line(label(Label::recorded_line, language));
      continue;
    }
    if (run_.provenance == "reenacted") out_.line(label(Label::reenacted_line, language));
    if (run_.status != "complete") {
      out_.line(label(Label::unfinished_line, language,
                      {word(run_.status, language,
                            {Label::status_running, Label::status_failed, Label::status_interrupted,
                             Label::status_partial})}));
    }
    out_.line(gates.empty() ? label(Label::no_gates_line, language, {cells, failed, cached})
                            : label(Label::verdict_line, language,
                                    {std::to_string(passed), std::to_string(gates.size()), cells,
                                     failed, cached}));
  }
  return {};
}

Result<std::string> Report::write() {
  title();
  TRY(summary());
  prose_section(Label::initial_state, "initial_state");
  prose_section(Label::changes, "changes");
  out_.heading(2, label(Label::methodology, language_));
  TRY(write_methodology(out_, language_));
  for (const Language language : languages()) {
    out_.heading(2, heading_of(Label::results, language));
    TRY(write_results(out_, language));
  }
  TRY(write_gates(out_, language_));
  TRY(write_baselines(out_, language_));
  TRY(write_lints(out_, language_));
  prose_section(Label::impact, "impact");
  prose_section(Label::outcome, "outcome");
  prose_section(Label::later, "later");
  prose_section(Label::note, "note");
  prose_section(Label::conclusion, "conclusion");
  prose_section(Label::next_step, "next");
  prose_section(Label::why_it_matters, "why_it_matters");
  return std::move(out_).take();
}

}  // namespace

Result<std::string> markdown_report(Store& store, int64_t run, Language language) {
  TRY_ASSIGN(const RunInfo info, load_run(store, run));
  return Report(store, info, language).write();
}

}  // namespace greta::store
