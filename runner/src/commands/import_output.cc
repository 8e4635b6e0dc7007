#include "commands/import_output.h"

#include "contract/text.h"
#include "system/files.h"

namespace greta::runner {
namespace {

constexpr size_t kLinesShown = 12;

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

std::map<std::string, int64_t> prompts_of(const PastFile& file) {
  std::map<std::string, int64_t> out;
  for (const auto& [prompt, lines] : file.survey.prompts)
    out[prompt.empty() ? file.prompt : prompt] += lines;
  return out;
}

std::string counts(const std::map<std::string, int64_t>& by_name, const std::string& nothing) {
  std::vector<std::string> parts;
  for (const auto& [name, lines] : by_name)
    parts.push_back(printable(name.empty() ? nothing : name, 60) + " " + std::to_string(lines));
  return joined(parts);
}

void add_report(const PastReport& report, bool all, std::vector<std::string>& out) {
  std::string line = "  " + report.milestone;
  if (!report.date.empty()) line += ", " + report.date;
  line += ": " + count(report.tables, "table") + " with " + count(report.figures, "figure");
  if (report.twins > 0) line += ", " + std::to_string(report.twins) + " printed twice";
  out.push_back(line);
  for (const std::string& one : report.contradictions) out.push_back("  contradiction: " + one);
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

void add_files(const PastRun& run, std::vector<std::string>& out) {
  std::string line = "  " + run.milestone;
  if (!run.date.empty()) line += ", " + run.date;
  out.push_back(line + ": " + count(run.files.size(), "file") + " in " +
                printable(run.folder.string(), 200));
  for (const PastFile& file : run.files) {
    std::string text = "    " + printable(file.name, 120) + "  " +
                       human_bytes(static_cast<double>(file.survey.bytes)) + "  ";
    if (file.role != "records") {
      const bool packed = file.name.ends_with(".gz");
      out.push_back(text + file.role +
                    (packed ? ", packed: kept as it is, its lines are not read" : ", kept"));
      continue;
    }
    text +=
        count(static_cast<size_t>(file.survey.lines), "line") + ": " + counts(kinds_of(file), "");
    text += "; prompt " + counts(prompts_of(file), "unknown");
    if (file.variant != "default") text += "; variant " + printable(file.variant);
    if (file.survey.unreadable > 0)
      text += "; " + std::to_string(file.survey.unreadable) + " unreadable, kept as they are";
    out.push_back(text);
  }
}

}  // namespace

Json to_json(const Arrival& arrival) {
  Json out = {{"path", arrival.path},
              {"what", arrival.what},
              {"runs", arrival.runs},
              {"milestones", arrival.milestones}};
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
  if (arrival.files) add_files(*arrival.files, out);
  return out;
}

}  // namespace greta::runner
