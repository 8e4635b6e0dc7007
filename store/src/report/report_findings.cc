// Gates, baselines and lints of the report.

#include <algorithm>

#include "db/sqlite.h"
#include "report/report_tables.h"
#include "store/diff.h"
#include "store/gates.h"

namespace greta::store {

namespace {

constexpr size_t kWorstFigures = 20;

std::string verdict_word(Verdict verdict, Language language) {
  return word(to_string(verdict), language,
              {Label::verdict_identical, Label::verdict_within_floor, Label::verdict_diverged,
               Label::verdict_only_a, Label::verdict_only_b, Label::verdict_not_comparable});
}

std::string verdict_words(const Diff& diff, Language language) {
  std::string words = "**" + verdict_word(diff.verdict, language) + "**";
  const std::string reason = language == Language::en        ? diff.reason
                             : language == Language::es      ? diff.reason_es
                             : diff.reason == diff.reason_es ? diff.reason
                                                             : diff.reason_es + " / " + diff.reason;
  return reason.empty() ? words : words + ": " + escape_markdown(reason);
}

// The words that a diff has for "nothing", which are not data.
std::string in_language(std::string value, Language language) {
  const std::string empty = label(Label::is_empty, Language::en);
  if (value.starts_with(empty)) value.replace(0, empty.size(), label(Label::is_empty, language));
  value = word(value, language, {Label::none});
  for (const Label id : {Label::not_recorded, Label::not_set, Label::not_in_run, Label::not_read,
                         Label::by_default}) {
    const std::string en = label(id, Language::en);
    if (value != en && !value.ends_with(" " + en)) continue;
    return value.replace(value.size() - en.size(), en.size(), label(id, language));
  }
  return value;
}

void write_diff(ReportWriter& out, const Diff& diff, const std::string& baseline,
                Language language) {
  const auto text = [&](Label id) { return label(id, language); };
  out.line(text(Label::verdict) + ": " + verdict_words(diff, language));
  const std::string shown = escape_markdown(baseline);
  out.line(label(Label::matched_line, language,
                 {std::to_string(diff.matched), std::to_string(diff.only_a), shown,
                  std::to_string(diff.only_b)}));
  if (diff.confounders.empty()) {
    out.line(text(Label::no_confounder));
  } else {
    MarkdownTable table{{text(Label::confounder), shown, text(Label::this_run)},
                        {Align::left, Align::left, Align::left},
                        {}};
    for (const Confounder& one : diff.confounders) {
      if (one.background) continue;
      const auto side = [&](const std::string& value) {
        if (one.what != "provenance") return escape_markdown(in_language(value, language));
        return word(
            value, language,
            {Label::provenance_executed, Label::provenance_recorded, Label::provenance_reenacted});
      };
      table.rows.push_back({escape_markdown(one.what), side(one.a), side(one.b)});
    }
    if (!table.rows.empty()) out.add(to_markdown(table) + "\n");
    for (const auto& [side, name] :
         {std::pair{'a', shown}, std::pair{'b', text(Label::this_run)}}) {
      const std::string names = unknown_to(side, diff.confounders);
      if (names.empty()) continue;
      out.line(label(Label::unknown_here, language, {name, escape_markdown(names)}));
    }
  }
  MarkdownTable table{{text(Label::figure), text(Label::place), shown, text(Label::this_run),
                       text(Label::difference), text(Label::floor), text(Label::verdict)},
                      {Align::left, Align::left, Align::right, Align::right, Align::right,
                       Align::right, Align::left},
                      {}};
  size_t differing = 0;
  for (const MetricDiff& metric : diff.metrics) {
    if (metric.verdict == Verdict::identical || ++differing > kWorstFigures) continue;
    const bool judged = metric.verdict != Verdict::not_comparable;
    table.rows.push_back(
        {escape_markdown(metric.kind + "." + metric.metric), escape_markdown(metric.key),
         escape_markdown(metric.a), escape_markdown(metric.b),
         metric.difference == metric.difference ? number_text(metric.difference) : "–",
         judged ? number_text(metric.floor) : "–", verdict_word(metric.verdict, language)});
  }
  if (!table.rows.empty()) out.add(to_markdown(table) + "\n");
  if (differing > kWorstFigures) {
    out.line(label(Label::more_rows, language,
                   {std::to_string(differing - kWorstFigures), diff.a.run, diff.b.run,
                    std::to_string(differing)}));
  }
  out.add("<sub>" + code_span("greta diff " + diff.a.run + " " + diff.b.run) + "</sub>\n\n");
}

}  // namespace

Result<> write_gates(ReportWriter& out, Language language) {
  const auto text = [&](Label id) { return label(id, language); };
  TRY_ASSIGN(const auto gates, stored_gates(out.store(), out.run().id));
  if (gates.empty()) return {};
  out.heading(2, text(Label::gates));
  // Words that the comparison of arms has for a measured value and its limit, where there is one.
  std::string measured = "measured", limit = "limit_value";
  const auto translate = [&](std::string& column, Label id) {
    column = "replace(" + column + ", " + quoted_text(label(id, Language::en)) + ", " +
             quoted_text(label(id, Language::es)) + ")";
  };
  const std::string across = label(Label::limit_across, Language::en);
  for (const GateOutcome& gate : gates) {
    if (language != Language::es) break;
    if (gate.measured == label(Label::measured_disjoint, Language::en) && measured == "measured")
      translate(measured, Label::measured_disjoint);
    if (gate.limit.starts_with(across) && limit == "limit_value")
      translate(limit, Label::limit_across);
  }
  const bool within = std::any_of(gates.begin(), gates.end(), [](const GateOutcome& gate) {
    return gate.limit == label(Label::limit_distinct, Language::en);
  });
  if (within && language == Language::es) {
    limit = "CASE limit_value WHEN 'distinct' THEN " +
            quoted_text(label(Label::limit_distinct, Language::es)) + " ELSE " + limit + " END";
  }
  TRY(out.table({{text(Label::gate), "id", Align::left},
                 word_column(text(Label::status), "status", language,
                             {Label::gate_pass, Label::gate_fail, Label::gate_not_measured}),
                 {text(Label::measured), measured, Align::right},
                 {text(Label::limit), limit, Align::left},
                 {text(Label::where), "worst", Align::left},
                 {text(Label::records), "row_count", Align::right}},
                " FROM gates ORDER BY position"));
  for (const GateOutcome& gate : gates) {
    // Messages are kept in English.
    const bool explain = gate.status != GateStatus::pass && language != Language::es;
    if (explain) out.line(code_span(gate.id) + ": " + escape_markdown(gate.message));
    if (gate.query.empty()) continue;
    out.line(label(Label::gate_query, language, {code_span(gate.id)}) + ":");
    out.add(query_note(query_scope(gate, out.run().name), gate.query));
  }
  return {};
}

Result<> write_baselines(ReportWriter& out, Language language) {
  for (const std::string& baseline : out.run().baseline) {
    out.heading(2, label(Label::diff_heading, language, {escape_markdown(baseline)}));
    const auto other = out.store().resolve(baseline);
    if (!other) {
      out.line(label(Label::baseline_missing, language, {code_span(baseline)}));
      continue;
    }
    if (*other == out.run().id) {
      out.line(label(Label::baseline_is_itself, language));
      continue;
    }
    TRY_ASSIGN(const Diff found, diff(out.store(), *other, out.run().id));
    write_diff(out, found, baseline, language);
  }
  return {};
}

Result<> write_lints(ReportWriter& out, Language language) {
  out.heading(2, label(Label::lints, language));
  TRY_ASSIGN(const auto found, lints(out.store(), out.run().id));
  if (found.empty()) out.line(label(Label::no_lints, language));
  for (const Lint& lint : found) {
    const std::string& es = lint.message_es.empty() ? lint.message : lint.message_es;
    std::string message = escape_markdown(shortened(language == Language::es ? es : lint.message));
    if (language == Language::both) message = escape_markdown(shortened(es)) + " / " + message;
    out.add("- **" + lint.id + "**: " + message + "  \n  " +
            query_note(out.run().name, lint.query));
  }
  return {};
}

}  // namespace greta::store
