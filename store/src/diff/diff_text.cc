#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <tuple>

#include "contract/text.h"
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

std::string run_line(const RunSummary& run) {
  std::string line =
      code_span(run.run) + "  " + escape_markdown(run.milestone) + ", " + run.provenance;
  if (!run.started_at.empty()) line += ", " + run.started_at;
  if (!run.commit.empty()) line += ", commit " + escape_markdown(run.commit.substr(0, 12));
  if (run.cells_ok < run.cells) {
    line += ", " + std::to_string(run.cells - run.cells_ok) + " of " + std::to_string(run.cells) +
            " cells failed";
  }
  return line;
}

std::string side_lines(std::string_view side, const std::vector<RunSummary>& runs,
                       const Arms& arms) {
  constexpr size_t kMostRuns = 10;
  std::string out = std::string(side) + "  ";
  for (const auto& [axis, value] : arms) out += "**" + escape_markdown(axis + "=" + value) + "** ";
  if (!arms.empty()) out += " ";
  if (runs.size() == 1) return out + run_line(runs[0]) + "  \n";
  out += std::to_string(runs.size()) + " runs; records of one key are repeats of each other  \n";
  for (size_t i = 0; i < std::min(kMostRuns, runs.size()); ++i)
    out += "   " + run_line(runs[i]) + "  \n";
  if (runs.size() > kMostRuns)
    out += "   … " + std::to_string(runs.size() - kMostRuns) + " more (all: --json)  \n";
  return out;
}

// "a | b | c | … (100 in all)": JSON has them whole.
std::string few_of(const std::string& values) {
  constexpr size_t kMost = 4;
  constexpr std::string_view kBetween = " | ";
  size_t count = 1, cut = std::string::npos;
  for (size_t at = values.find(kBetween); at != std::string::npos;
       at = values.find(kBetween, at + kBetween.size())) {
    if (count++ == kMost) cut = at;
  }
  if (count <= kMost + 1) return values;
  return values.substr(0, cut) + " | … (" + std::to_string(count) + " in all)";
}

// What a side's runs do not have in common, before anything is compared with the other side.
std::string mixed_text(std::string_view side, const std::vector<Mixed>& mixed) {
  if (mixed.empty()) return "";
  std::vector<std::string> parts;
  for (const Mixed& one : mixed)
    parts.push_back(one.what + " " + few_of(joined(one.values, " | ")));
  return "\n**" + std::string(side) + " mixes** " + escape_markdown(joined(parts, "; ")) +
         ". What lies between those runs is not noise: of their values the two farthest apart are "
         "judged.\n";
}

// Four digits: a timing has no more.
std::string short_number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", value);
  return text.data();
}

std::string samples_text(const std::vector<double>& samples, double its_median) {
  if (samples.size() >= kFewestSamples)
    return short_number(its_median) + " (" + std::to_string(samples.size()) + ")";
  std::vector<std::string> all;
  for (const double value : samples) all.push_back(short_number(value));
  return joined(all, ", ");
}

std::string words(const TimingDiff& timing) {
  switch (timing.verdict) {
    case TimingVerdict::slower:
      return "slower";
    case TimingVerdict::faster:
      return "faster";
    case TimingVerdict::no_difference:
      return "no difference seen";
    case TimingVerdict::same_records:
      return "from the cache: not measured twice";
    case TimingVerdict::too_few:
      break;
  }
  const std::string a = std::to_string(timing.a.size()), b = std::to_string(timing.b.size());
  return (a == b ? a : a + " and " + b) + (a == "1" && b == "1" ? " sample" : " samples") +
         ": no interval";
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

// Figures of a layer stand in the record of each of its heads: one row says it of all of them.
struct ShownFigure {
  const MetricDiff* metric = nullptr;
  size_t alike = 0;  // how many more heads
};

std::string key_without_head(const std::string& key) {
  const size_t at = key.find("head=");
  if (at == std::string::npos) return key;
  const size_t end = key.find(',', at);
  return key.substr(0, at) + (end == std::string::npos ? "" : key.substr(end));
}

// What is identical needs no row.
std::vector<ShownFigure> figures_to_show(const std::vector<MetricDiff>& metrics) {
  std::vector<ShownFigure> out;
  std::map<std::tuple<std::string, std::string, std::string, std::string, std::string>, size_t>
      known;
  for (const MetricDiff& metric : metrics) {
    if (metric.verdict == Verdict::identical) continue;
    const auto [at, fresh] = known.try_emplace(
        {metric.kind, metric.metric, key_without_head(metric.key), metric.a, metric.b}, out.size());
    const bool alike = !fresh && out[at->second].metric->floor == metric.floor;
    if (alike) {
      ++out[at->second].alike;
    } else {
      out.push_back({&metric, 0});
    }
  }
  return out;
}

std::string figures_table(const std::vector<ShownFigure>& shown, size_t most_rows) {
  MarkdownTable table{{"figure", "where", "A", "B", "\\|A−B\\|", "floor", "verdict"},
                      {Align::left, Align::left, Align::right, Align::right, Align::right,
                       Align::right, Align::left},
                      {}};
  for (size_t i = 0; i < std::min(most_rows, shown.size()); ++i) {
    const MetricDiff& metric = *shown[i].metric;
    const bool judged = metric.verdict != Verdict::not_comparable;
    const std::string alike =
        shown[i].alike > 0 ? " and " + std::to_string(shown[i].alike) + " more heads" : "";
    table.rows.push_back({escape_markdown(metric.kind + "." + metric.metric),
                          escape_markdown(metric.key + alike), escape_markdown(metric.a),
                          escape_markdown(metric.b), number_or_dash(metric.difference),
                          judged ? number_text(metric.floor) : "–", words(metric.verdict)});
  }
  return to_markdown(table, TableStyle::padded);
}

std::string more(size_t total, size_t shown) {
  if (total <= shown) return "";
  return "\n" + std::to_string(total - shown) + " more (--top " + std::to_string(total) + ")\n";
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

// Many runs make long queries: those only where they were asked for.
std::string query_line(const Diff& diff, size_t place, const std::string& metric, bool asked) {
  constexpr size_t kLongest = 2000;
  const std::string command = query_command("", query_of(diff, place, metric));
  return asked || command.size() <= kLongest ? code_span(command) : "a long query: --show-sql";
}

std::string timings_text(const Diff& diff, size_t most_rows, bool with_queries) {
  if (diff.timings.empty()) return "";
  std::string out =
      "\n## Timings\n\nEvery repeat of every run is a sample: all of them, or from " +
      std::to_string(kFewestSamples) +
      " on their median (and how many). B/A: 95 % interval of the ratio of the medians. ";
  out += diff.timings_count ? "They count (--timings).\n"
                            : "They are no part of the verdict (--timings: they are).\n";
  if (!diff.timing_confounders.empty()) {
    out += "\n**Not the same machine** (" + escape_markdown(joined(diff.timing_confounders, ", ")) +
           "): a difference need not come from what was compared.\n";
  }
  MarkdownTable table{
      {"figure", "where", "A", "B", "B/A", "verdict"},
      {Align::left, Align::left, Align::right, Align::right, Align::right, Align::left},
      {}};
  std::string queries;
  int64_t judged = 0;
  for (const TimingDiff& timing : diff.timings) {
    if (timing.compared.difference) ++judged;
    if (table.rows.size() == most_rows) continue;
    const auto& ratio = timing.compared.ratio;
    const std::string unit = timing.unit.empty() ? "" : " (" + timing.unit + ")";
    table.rows.push_back(
        {escape_markdown(timing.kind + "." + timing.metric + unit), escape_markdown(timing.key),
         samples_text(timing.a, timing.compared.a), samples_text(timing.b, timing.compared.b),
         ratio ? short_number(ratio->low) + " … " + short_number(ratio->high) : "–",
         words(timing)});
    if (with_queries || queries.empty())
      queries += "- " + query_line(diff, timing.place, timing.metric, with_queries) + "\n";
  }
  constexpr int64_t kMany = 20;
  if (judged >= kMany) {
    out +=
        "\nOf " + std::to_string(judged) + " judged, one in 20 looks different where nothing is.\n";
  }
  out += "\n" + to_markdown(table, TableStyle::padded) + more(diff.timings.size(), most_rows);
  return out + (with_queries ? "\nTheir queries:\n\n" : "\nSamples of the first:\n\n") + queries;
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

std::string confounders_text(const std::vector<Confounder>& confounders) {
  std::string out;
  if (confounders.empty()) out += "nothing that was recorded\n";
  if (!confounders.empty()) {
    MarkdownTable table{{"what", "A", "B"}, {Align::left, Align::left, Align::left}, {}};
    for (const Confounder& one : confounders) {
      if (one.background) continue;
      table.rows.push_back({escape_markdown(one.what), escape_markdown(few_of(one.a)),
                            escape_markdown(few_of(one.b))});
    }
    if (!table.rows.empty()) out += to_markdown(table, TableStyle::padded);
    for (const auto& [side, name] : {std::pair{'a', "A"}, std::pair{'b', "B"}}) {
      const std::string names = unknown_to(side, confounders);
      if (!names.empty()) {
        out += "\nNot recorded in " + std::string(name) +
               ", so they may differ (values: --json): " + escape_markdown(names) + "\n";
      }
    }
  }
  return out;
}

std::string arms_text(const std::vector<VariantPair>& variants) {
  const bool other_arms = std::any_of(variants.begin(), variants.end(),
                                      [](const VariantPair& pair) { return !pair.same; });
  if (!other_arms) return "";
  MarkdownTable table{{"A", "B", "why"}, {Align::left, Align::left, Align::left}, {}};
  for (const VariantPair& pair : variants) {
    table.rows.push_back({escape_markdown(pair.a), escape_markdown(pair.b),
                          pair.same ? "the same" : escape_markdown(pair.note)});
  }
  return "\n## Arms compared\n\n" + to_markdown(table, TableStyle::padded);
}

// Before the figures: what a side does not even agree on with itself.
std::string unsteady_text(const std::vector<Unsteady>& unsteady) {
  constexpr size_t kMost = 6;
  std::string out;
  for (const auto& [side, name] : {std::pair{'a', "A"}, std::pair{'b', "B"}}) {
    std::vector<std::string> parts;
    size_t count = 0;
    for (const Unsteady& one : unsteady) {
      if (one.side != side || ++count > kMost) continue;
      std::string part = one.kind + "." + one.metric;
      if (one.largest > 0 && std::isfinite(one.largest))
        part += " (by up to " + short_number(one.largest) + ")";
      parts.push_back(std::move(part));
    }
    if (parts.empty()) continue;
    out += "\n**Repeats of " + std::string(name) +
           " disagree**: " + escape_markdown(joined(parts, ", ")) +
           (count > kMost ? ", … " + std::to_string(count - kMost) + " more" : "") + "\n";
  }
  return out;
}

std::string one_sided_text(const std::vector<OneSided>& one_sided) {
  std::string out;
  if (!one_sided.empty()) {
    out += "\n## Only on one side\n\n";
    MarkdownTable table{{"side", "kind", "what", "records"},
                        {Align::left, Align::left, Align::left, Align::right},
                        {}};
    for (const OneSided& one : one_sided) {
      table.rows.push_back({one.side == 'a' ? "A" : "B", escape_markdown(one.kind),
                            escape_markdown(shortened(one.what)),
                            one.records > 0 ? std::to_string(one.records) : "–"});
    }
    out += to_markdown(table, TableStyle::padded);
  }
  return out;
}

}  // namespace

std::string to_markdown(const Diff& diff, size_t most_rows, bool with_queries) {
  std::string out = side_lines("A", diff.runs_a, diff.arms_a) +
                    side_lines("B", diff.runs_b, diff.arms_b) + mixed_text("A", diff.mixed_a) +
                    mixed_text("B", diff.mixed_b) + "\n";
  out += "**" + words(diff.verdict) + "**";
  if (!diff.reason.empty()) out += ": " + escape_markdown(diff.reason);
  if (diff.verdict != Verdict::identical) out += answers_text(diff.figures);
  if (!diff.first_metric.empty())
    out +=
        "  \nIts records: " + query_line(diff, diff.first_place, diff.first_metric, with_queries);
  if (diff.shared > 0) {
    out += "  \n" + std::to_string(diff.shared) + " of " + std::to_string(diff.records) +
           " matched records are the same on both sides (from the cache): they were not measured "
           "twice.";
  }
  out += "\n\n## What differs besides the figures\n\n" + confounders_text(diff.confounders) +
         arms_text(diff.variants);
  out += "\n## Figures\n\n" + std::to_string(diff.matched) +
         " matched: " + std::to_string(diff.identical) + " identical, " +
         std::to_string(diff.within_floor) + " within floor, " + std::to_string(diff.diverged) +
         " diverged, " + std::to_string(diff.not_comparable) +
         " not comparable; records without a partner: " + std::to_string(diff.only_a) + " in A, " +
         std::to_string(diff.only_b) + " in B";
  if (diff.figures_only_a + diff.figures_only_b > 0) {
    out += "; figures on one side only: " + std::to_string(diff.figures_only_a) + " in A, " +
           std::to_string(diff.figures_only_b) + " in B";
  }
  out += "\n" + unsteady_text(diff.unsteady);
  if (!diff.other_prompts.empty())
    out += "\nNot comparable: " + escape_markdown(joined(diff.other_prompts, "; ")) + "\n";
  out += figures_text(diff.figures, most_rows);
  const std::vector<ShownFigure> shown = figures_to_show(diff.metrics);
  if (!shown.empty()) out += "\n" + figures_table(shown, most_rows) + more(shown.size(), most_rows);
  if (with_queries && !shown.empty()) {
    out += "\nTheir queries:\n\n";
    for (size_t i = 0; i < std::min(most_rows, shown.size()); ++i)
      out += "- " + query_line(diff, shown[i].metric->place, shown[i].metric->metric, true) + "\n";
  }
  return out + one_sided_text(diff.one_sided) + timings_text(diff, most_rows, with_queries);
}

}  // namespace greta::store
