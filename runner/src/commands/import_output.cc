#include "commands/import_output.h"

#include <algorithm>

#include "contract/text.h"
#include "past/report_facts.h"
#include "system/files.h"

namespace greta::runner {
namespace {

// Files that hold others, or lines, in a form that import does not open.
constexpr std::string_view kPacked[] = {".gz",  ".tgz", ".bz2", ".xz",  ".zst",
                                        ".lz4", ".zip", ".7z",  ".tar", ".br"};
constexpr size_t kLinesShown = 12, kNamesShown = 8, kLintsShown = 5;

std::string count(size_t number, const std::string& noun) {
  return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
}

// The kinds of a file's lines and how many there are of each.
std::map<std::string, int64_t> kinds_of(const PastFile& file) {
  std::map<std::string, int64_t> out;
  for (const auto& [event, lines] : file.survey.events)
    out[event.empty() ? file.kind : event] += lines;
  return out;
}

// Whether some lines have their kind by a guess.
bool is_guessed(const PastFile& file) {
  return file.kind_is_guess && file.survey.events.contains("");
}

std::map<std::string, int64_t> prompts_of(const PastFile& file) {
  std::map<std::string, int64_t> out;
  for (const auto& [prompt, lines] : file.survey.prompts)
    out[prompt.empty() ? file.prompt : prompt] += lines;
  return out;
}

// Those with most lines first where not all are shown.
std::string counts(const std::map<std::string, int64_t>& by_name, const std::string& nothing,
                   bool all) {
  std::vector<std::pair<std::string, int64_t>> names(by_name.begin(), by_name.end());
  const bool shorten = !all && names.size() > kNamesShown;
  if (shorten)
    std::stable_sort(names.begin(), names.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> parts;
  for (const auto& [name, lines] : names) {
    if (shorten && parts.size() == kNamesShown) break;
    parts.push_back(printable(name.empty() ? nothing : name, 60) + " " + std::to_string(lines));
  }
  if (shorten)
    parts.push_back("… and " + std::to_string(names.size() - kNamesShown) +
                    " more (-v or --json shows all)");
  return joined(parts);
}

// The first of some parts, and how many there are more.
std::string listed(const std::vector<std::string>& parts, bool all) {
  if (all || parts.size() <= kNamesShown) return joined(parts);
  return joined({parts.begin(), parts.begin() + kNamesShown}) + ", … and " +
         std::to_string(parts.size() - kNamesShown) + " more";
}

// "`gap decode` is gap of decode0".
std::string head_text(const PastHead& head) {
  std::string out = "`" + printable(head.head, 60) + "` is " + printable(head.field, 60);
  if (head.keys.contains("phase")) out += " of " + head.keys["phase"].get<std::string>();
  return out;
}

void add_readings(const PastReport& report, bool all, std::vector<std::string>& out) {
  std::vector<std::string> heads, texts, bytes;
  for (const PastHead& head : report.heads) {
    const std::string text = head_text(head);  // the same for every prompt
    if (std::find(heads.begin(), heads.end(), text) == heads.end()) heads.push_back(text);
  }
  for (const PastLine& one : report.texts)
    texts.push_back("line " + std::to_string(one.line) + " `" + printable(one.text, 40) + "`");
  for (const int line : report.not_utf8) bytes.push_back("line " + std::to_string(line));
  if (!heads.empty()) out.push_back("  names: " + listed(heads, all));
  if (!texts.empty()) out.push_back("  kept as texts, not as numbers: " + listed(texts, all));
  if (!bytes.empty())
    out.push_back("  bytes that are no UTF-8, U+FFFD in their cells: " + listed(bytes, all));
}

void add_report(const PastReport& report, bool all, std::vector<std::string>& out) {
  std::string line = "  " + report.milestone;
  if (!report.date.empty()) line += ", " + report.date;
  line += ": " + count(report.tables, "table") + " with " + count(report.figures, "figure");
  if (report.twins > 0) line += ", " + std::to_string(report.twins) + " printed twice";
  out.push_back(line);
  for (const std::string& one : report.contradictions) out.push_back("  contradiction: " + one);
  add_readings(report, all, out);
  if (report.not_taken.empty()) return;
  out.push_back("  " + count(report.not_taken.size(), "line") +
                " with numbers that are no figure here (the report is kept whole):");
  for (size_t i = 0; i < report.not_taken.size(); ++i) {
    if (!all && i == kLinesShown) {
      out.push_back("    … and " + std::to_string(report.not_taken.size() - i) +
                    " more (-v or --json shows all)");
      break;
    }
    const PastLine& one = report.not_taken[i];
    out.push_back("    line " + std::to_string(one.line) + ": " + printable(one.text, 100));
  }
}

bool is_packed(const std::string& name) {
  const std::string text = lower(name);
  return std::any_of(std::begin(kPacked), std::end(kPacked),
                     [&](std::string_view extension) { return text.ends_with(extension); });
}

void add_files(const PastRun& run, bool all, std::vector<std::string>& out) {
  std::string line = "  " + run.milestone;
  if (!run.date.empty()) line += ", " + run.date;
  out.push_back(line + ": " + count(run.files.size(), "file") + " in " +
                printable(run.folder.string(), 200));
  for (const PastFile& file : run.files) {
    std::string text = "    " + printable(file.name, 120) + "  " +
                       human_bytes(static_cast<double>(file.survey.bytes)) + "  ";
    if (file.role != "records") {
      out.push_back(
          text + file.role +
          (is_packed(file.name) ? ", packed: kept as it is, its lines are not read" : ", kept"));
      continue;
    }
    text += count(static_cast<size_t>(file.survey.lines), "line") + ": " +
            counts(kinds_of(file), "", all);
    if (is_guessed(file)) text += " (" + file.kind + " is guessed from the file's name: --kind)";
    text += "; prompt " + counts(prompts_of(file), "unknown", all);
    if (file.variant != "default") text += "; variant " + printable(file.variant);
    if (file.survey.unreadable > 0)
      text += "; " + std::to_string(file.survey.unreadable) + " unreadable, kept as they are";
    out.push_back(text);
  }
}

void add_lints(const Arrival& arrival, bool all, std::vector<std::string>& out) {
  for (size_t i = 0; i < arrival.lints.size(); ++i) {
    if (!all && i == kLintsShown && arrival.lints.size() > kLintsShown) {
      out.push_back("  … and " + std::to_string(arrival.lints.size() - i) +
                    " suspicious results more (-v, --json or greta report shows all)");
      return;
    }
    const auto& [run, lint] = arrival.lints[i];
    const std::string of = arrival.runs.size() > 1 ? " in " + run : "";
    out.push_back("  suspicious" + of + ": " + printable(lint.message, 300) + " (" + lint.id + ")");
  }
}

}  // namespace

Json to_json(const Arrival& arrival) {
  Json out = {{"path", arrival.path},
              {"what", arrival.what},
              {"runs", arrival.runs},
              {"milestones", arrival.milestones},
              {"lints", Json::array()}};
  for (const auto& [run, lint] : arrival.lints)
    out["lints"].push_back({{"run", run}, {"id", lint.id}, {"message", lint.message}});
  if (arrival.report) {
    const PastReport& report = *arrival.report;
    out["date"] = report.date.empty() ? Json() : Json(report.date);
    out["tables"] = report.tables;
    out["figures"] = report.figures;
    out["twins"] = report.twins;
    out["contradictions"] = report.contradictions;
    out["not_taken"] = Json::array();
    for (const PastLine& line : report.not_taken)
      out["not_taken"].push_back({{"line", line.line}, {"text", line.text}});
    out["heads"] = Json::array();
    for (const PastHead& head : report.heads)
      out["heads"].push_back({{"head", head.head}, {"field", head.field}, {"keys", head.keys}});
    out["texts"] = Json::array();
    for (const PastLine& cell : report.texts)
      out["texts"].push_back({{"line", cell.line}, {"text", cell.text}});
    out["not_utf8"] = report.not_utf8;
  }
  if (arrival.files) {
    const PastRun& run = *arrival.files;
    out["date"] = run.date.empty() ? Json() : Json(run.date);
    out["folder"] = run.folder.string();
    out["files"] = Json::array();
    for (const PastFile& file : run.files) {
      Json one = {{"name", file.name},
                  {"role", file.role},
                  {"bytes", file.survey.bytes},
                  {"sha256", file.survey.sha256}};
      if (file.role == "records") {
        one["lines"] = file.survey.lines;
        one["unreadable"] = file.survey.unreadable;
        one["kinds"] = kinds_of(file);
        if (is_guessed(file)) one["guessed"] = file.kind;
        one["prompts"] = prompts_of(file);
        one["variant"] = file.variant;
      }
      out["files"].push_back(std::move(one));
    }
  }
  return out;
}

std::vector<std::string> to_lines(const Arrival& arrival, bool all) {
  std::vector<std::string> out;
  const size_t runs = arrival.milestones.size();
  out.push_back(printable(arrival.path, 200) + ": " + count(runs, "run"));
  if (arrival.report) add_report(*arrival.report, all, out);
  if (arrival.files) add_files(*arrival.files, all, out);
  add_lints(arrival, all, out);
  return out;
}

}  // namespace greta::runner
