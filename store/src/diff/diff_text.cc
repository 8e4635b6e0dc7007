#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "store/diff.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

std::string words(Verdict verdict) {
  std::string text(to_string(verdict));
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

using Arms = std::map<std::string, std::string>;

std::string side_line(std::string_view side, const RunSummary& run, const Arms& arms) {
  std::string line = std::string(side) + "  " + code_span(run.run) + "  ";
  for (const auto& [axis, value] : arms) {
    line += "**" + escape_markdown(axis + "=" + value) + "**, ";
  }
  line += escape_markdown(run.milestone) + ", " + run.provenance;
  if (!run.started_at.empty()) line += ", " + run.started_at;
  if (!run.commit.empty()) line += ", commit " + escape_markdown(run.commit.substr(0, 12));
  if (run.cells_ok < run.cells) {
    line += ", " + std::to_string(run.cells - run.cells_ok) + " of " + std::to_string(run.cells) +
            " cells failed";
  }
  return line;
}

std::string number_or_dash(double value) { return std::isnan(value) ? "–" : number_text(value); }

// A list of fields that would make the table too wide is cut; JSON has it whole.
std::string shortened(const std::string& what) {
  constexpr size_t kWidest = 100;
  if (what.size() <= kWidest || !what.starts_with("fields ")) return what;
  const auto commas = std::count(what.begin(), what.end(), ',');
  return what.substr(0, what.rfind(", ", kWidest)) + ", … (" + std::to_string(commas + 1) +
         " in all)";
}

MarkdownTable metric_table(const std::vector<MetricDiff>& metrics, size_t most_rows) {
  MarkdownTable table{{"figure", "where", "A", "B", "\\|A−B\\|", "floor", "verdict"},
                      {Align::left, Align::left, Align::right, Align::right, Align::right,
                       Align::right, Align::left},
                      {}};
  for (size_t i = 0; i < std::min(most_rows, metrics.size()); ++i) {
    const MetricDiff& metric = metrics[i];
    const bool judged = metric.verdict != Verdict::not_comparable;
    table.rows.push_back({escape_markdown(metric.kind + "." + metric.metric),
                          escape_markdown(metric.key), escape_markdown(metric.a),
                          escape_markdown(metric.b), number_or_dash(metric.difference),
                          judged ? number_text(metric.floor) : "–", words(metric.verdict)});
  }
  return table;
}

std::string more(size_t total, size_t shown) {
  if (total <= shown) return "";
  return "\n" + std::to_string(total - shown) + " more (--top " + std::to_string(total) + ")\n";
}

nlohmann::ordered_json to_json(const RunSummary& run, const Arms& arms) {
  return {{"run", run.run},
          {"milestone", run.milestone},
          {"arms", arms},
          {"provenance", run.provenance},
          {"status", run.status},
          {"commit", run.commit},
          {"started_at", run.started_at},
          {"cells", run.cells},
          {"cells_ok", run.cells_ok}};
}

// Where both agree: figures that are identical in every record, by name; and how far the others
// are apart, one row each.
std::string figures_text(const std::vector<FigureTally>& figures, size_t most_rows) {
  std::map<std::string, std::vector<std::string>> agreed;  // kind → figures
  MarkdownTable table{
      {"figure", "records", "identical", "within floor", "diverged", "largest \\|A−B\\|", "at"},
      {Align::left, Align::right, Align::right, Align::right, Align::right, Align::right,
       Align::left},
      {}};
  for (const FigureTally& tally : figures) {
    const int64_t apart = tally.within_floor + tally.diverged;
    if (apart == 0) {
      agreed[tally.kind].push_back(tally.metric + " (" + std::to_string(tally.identical) + ")");
      continue;
    }
    table.rows.push_back({escape_markdown(tally.kind + "." + tally.metric),
                          std::to_string(tally.identical + apart), std::to_string(tally.identical),
                          std::to_string(tally.within_floor), std::to_string(tally.diverged),
                          number_or_dash(tally.largest), escape_markdown(tally.where)});
  }
  // Where everything is identical, the line above has said it.
  if (table.rows.empty()) return "";
  std::string out;
  if (!agreed.empty()) out += "\nIdentical in every record (and in how many):\n\n";
  for (auto& [kind, names] : agreed) {
    std::sort(names.begin(), names.end());
    out += "- " + escape_markdown(kind) + ": ";
    for (size_t i = 0; i < names.size(); ++i)
      out += (i > 0 ? ", " : "") + escape_markdown(names[i]);
    out += "\n";
  }
  const size_t rows = table.rows.size();
  table.rows.resize(std::min(rows, most_rows));
  return out + "\nNot identical in every record:\n\n" + to_markdown(table, TableStyle::padded) +
         more(rows, most_rows) + "\nRecord by record, the worst first:\n";
}

// The first question after another verdict than identical: did the answers change?
std::string answers_text(const std::vector<FigureTally>& figures) {
  for (const FigureTally& tally : figures) {
    if (tally.kind != "readout" || tally.metric != "top1_id") continue;
    const int64_t apart = tally.within_floor + tally.diverged, all = tally.identical + apart;
    const std::string of = std::to_string(all) + " records";
    if (apart == 0) return "  \nThe answer (readout.top1_id) is the same in all " + of + ".";
    return "  \nThe answer (readout.top1_id) differs in " + std::to_string(apart) + " of " + of +
           ".";
  }
  return "";
}

nlohmann::ordered_json to_json(double value) {
  if (std::isfinite(value)) return value;
  if (std::isnan(value)) return nullptr;
  return number_text(value);
}

nlohmann::ordered_json to_json(const std::vector<MetricDiff>& metrics) {
  auto out = nlohmann::ordered_json::array();
  for (const MetricDiff& metric : metrics) {
    out.push_back({{"kind", metric.kind},
                   {"metric", metric.metric},
                   {"key", metric.key},
                   {"a", metric.a},
                   {"b", metric.b},
                   {"difference", to_json(metric.difference)},
                   {"floor", to_json(metric.floor)},
                   {"verdict", to_string(metric.verdict)}});
  }
  return out;
}

}  // namespace

std::string to_markdown(const Diff& diff, size_t most_rows) {
  std::string out =
      side_line("A", diff.a, diff.arms_a) + "  \n" + side_line("B", diff.b, diff.arms_b) + "\n\n";
  out += "**" + words(diff.verdict) + "**";
  if (!diff.reason.empty()) out += ": " + escape_markdown(diff.reason);
  if (diff.verdict != Verdict::identical) out += answers_text(diff.figures);
  out += "\n\n## What differs besides the figures\n\n";
  if (diff.confounders.empty()) out += "nothing that was recorded\n";
  if (!diff.confounders.empty()) {
    MarkdownTable table{{"what", "A", "B"}, {Align::left, Align::left, Align::left}, {}};
    for (const Confounder& one : diff.confounders) {
      if (one.background) continue;
      table.rows.push_back(
          {escape_markdown(one.what), escape_markdown(one.a), escape_markdown(one.b)});
    }
    if (!table.rows.empty()) out += to_markdown(table, TableStyle::padded);
    for (const auto& [side, name] : {std::pair{'a', "A"}, std::pair{'b', "B"}}) {
      const std::string names = unknown_to(side, diff.confounders);
      if (!names.empty()) {
        out += "\nNot recorded in " + std::string(name) +
               ", so they may differ (values: --json): " + escape_markdown(names) + "\n";
      }
    }
  }
  const bool other_arms = std::any_of(diff.variants.begin(), diff.variants.end(),
                                      [](const VariantPair& pair) { return !pair.same; });
  if (other_arms) {
    out += "\n## Arms compared\n\n";
    MarkdownTable table{{"A", "B", "why"}, {Align::left, Align::left, Align::left}, {}};
    for (const VariantPair& pair : diff.variants) {
      table.rows.push_back({escape_markdown(pair.a), escape_markdown(pair.b),
                            pair.same ? "the same" : escape_markdown(pair.note)});
    }
    out += to_markdown(table, TableStyle::padded);
  }
  out += "\n## Figures\n\n" + std::to_string(diff.matched) +
         " matched: " + std::to_string(diff.identical) + " identical, " +
         std::to_string(diff.within_floor) + " within floor, " + std::to_string(diff.diverged) +
         " diverged, " + std::to_string(diff.not_comparable) +
         " not comparable; records without a partner: " + std::to_string(diff.only_a) + " in A, " +
         std::to_string(diff.only_b) + " in B\n";
  out += figures_text(diff.figures, most_rows);
  // What is identical needs no row.
  std::vector<MetricDiff> shown;
  std::copy_if(diff.metrics.begin(), diff.metrics.end(), std::back_inserter(shown),
               [](const MetricDiff& metric) { return metric.verdict != Verdict::identical; });
  if (!shown.empty()) {
    out += "\n" + to_markdown(metric_table(shown, most_rows), TableStyle::padded) +
           more(shown.size(), most_rows);
  }
  if (!diff.one_sided.empty()) {
    out += "\n## Only on one side\n\n";
    MarkdownTable table{{"side", "kind", "what", "records"},
                        {Align::left, Align::left, Align::left, Align::right},
                        {}};
    for (const OneSided& one : diff.one_sided) {
      table.rows.push_back({one.side == 'a' ? "A" : "B", escape_markdown(one.kind),
                            escape_markdown(shortened(one.what)),
                            one.records > 0 ? std::to_string(one.records) : "–"});
    }
    out += to_markdown(table, TableStyle::padded);
  }
  if (!diff.timings.empty()) {
    out += "\n## Timings (not judged)\n\n";
    MarkdownTable table = metric_table(diff.timings, most_rows);
    table.headers.resize(5);
    table.aligns.resize(5);
    for (auto& row : table.rows) row.resize(5);
    out += to_markdown(table, TableStyle::padded) + more(diff.timings.size(), most_rows);
  }
  return out;
}

std::string to_json(const Diff& diff) {
  nlohmann::ordered_json out;
  out["a"] = to_json(diff.a, diff.arms_a);
  out["b"] = to_json(diff.b, diff.arms_b);
  out["verdict"] = to_string(diff.verdict);
  out["reason"] = diff.reason;
  out["exit_code"] = exit_code(diff);
  out["matched"] = diff.matched;
  out["identical"] = diff.identical;
  out["within_floor"] = diff.within_floor;
  out["diverged"] = diff.diverged;
  out["not_comparable"] = diff.not_comparable;
  out["only_a"] = diff.only_a;
  out["only_b"] = diff.only_b;
  out["confounders"] = nlohmann::ordered_json::array();
  for (const Confounder& one : diff.confounders) {
    out["confounders"].push_back(
        {{"what", one.what}, {"a", one.a}, {"b", one.b}, {"background", one.background}});
  }
  out["variants"] = nlohmann::ordered_json::array();
  for (const VariantPair& pair : diff.variants) {
    out["variants"].push_back(
        {{"a", pair.a}, {"b", pair.b}, {"same", pair.same}, {"note", pair.note}});
  }
  out["figures"] = nlohmann::ordered_json::array();
  for (const FigureTally& tally : diff.figures) {
    out["figures"].push_back({{"kind", tally.kind},
                              {"metric", tally.metric},
                              {"identical", tally.identical},
                              {"within_floor", tally.within_floor},
                              {"diverged", tally.diverged},
                              {"largest_difference", to_json(tally.largest)},
                              {"where", tally.where}});
  }
  out["metrics"] = to_json(diff.metrics);
  out["one_sided"] = nlohmann::ordered_json::array();
  for (const OneSided& one : diff.one_sided) {
    out["one_sided"].push_back({{"side", std::string(1, one.side)},
                                {"kind", one.kind},
                                {"what", one.what},
                                {"records", one.records}});
  }
  out["timings"] = to_json(diff.timings);
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace greta::store
