// Figures of past reports: every entry one run and one bundle, the figures as JSONL records of the
// kinds that they were read from, so that they stand in the same tables as what runs here.

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "contract/schema.h"
#include "contract/text.h"
#include "ingest/ingest.h"
#include "runs/store_runs.h"
#include "tables/store_impl.h"

namespace greta::store {
namespace {

using json = nlohmann::ordered_json;

// Parts of a figure that qualify its value; kept as `<metric>__approx` and so on.
const std::set<std::string> kQualifiers = {"approx", "bound", "unit"};
// Parts that say which cell it belongs to; the others are keys of the record.
const std::set<std::string> kNotKeys = {"metric", "value",   "record",
                                        "prompt", "variant", "printed"};
// Sections of a report that are shown again; what else an entry says goes to `resolved`.
const std::set<std::string> kProse = {"question",   "summary", "initial_state", "changes",
                                      "impact",     "outcome", "later",         "note",
                                      "conclusion", "next",    "why_it_matters"};
constexpr std::string_view kFigureKind = "figure";  // of a figure that names no record

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string text_of(const json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return {};
  return it->is_string() ? it->get<std::string>() : dump(*it);
}

Error entry_error(const std::string& milestone, const std::string& what) {
  return Error{.message = "recorded milestone " + printable(milestone) + ": " + what};
}

struct CellKey {
  std::string variant, prompt;
  auto operator<=>(const CellKey&) const = default;
};

struct Line {
  json fields;
  std::map<std::string, std::string> printed;  // numbers of the report as it prints them
};

// The lines of one record kind, in the order in which the report gave them.
struct Lines {
  std::vector<Line> lines;
  std::map<std::string, size_t> by_key;
};

struct Entry {
  std::string milestone;
  std::map<std::string, Lines> kinds;
  std::map<CellKey, std::string> requests;  // cell → request id
  std::vector<CellKey> cells;               // in order of appearance
};

std::string request_of(const CellKey& cell) {
  if (cell.variant == "default") return cell.prompt.empty() ? "all" : cell.prompt;
  return cell.prompt.empty() ? cell.variant : cell.variant + "/" + cell.prompt;
}

Result<> add_figure(Entry& entry, const json& figure) {
  if (!figure.is_object() || !figure.contains("metric") || !figure["metric"].is_string() ||
      !figure.contains("value")) {
    return tl::unexpected(entry_error(
        entry.milestone, "a figure needs `metric` and `value`: " + printable(dump(figure))));
  }
  CellKey cell{.variant = text_of(figure, "variant"), .prompt = text_of(figure, "prompt")};
  if (cell.variant.empty()) cell.variant = "default";
  const auto [request, is_new] = entry.requests.emplace(cell, request_of(cell));
  if (is_new) entry.cells.push_back(cell);

  std::string kind = text_of(figure, "record");
  if (kind.empty()) kind = kFigureKind;
  json line = {{"event", kind}, {"request", request->second}};
  for (const auto& [key, value] : figure.items())
    if (!kNotKeys.contains(key) && !kQualifiers.contains(key)) line[key] = value;
  std::string metric = figure["metric"];
  if (line.contains(metric))
    metric += "__value";  // the name of a key: the figure is kept beside it
  Lines& lines = entry.kinds[kind];
  const std::string key = dump(line);
  auto [known, added] = lines.by_key.emplace(key, lines.lines.size());
  // A name that stands in the record already starts a second one: nothing is overwritten.
  if (added || lines.lines[known->second].fields.contains(metric)) {
    known->second = lines.lines.size();
    lines.lines.push_back({.fields = line, .printed = {}});
  }
  Line& record = lines.lines[known->second];
  record.fields[metric] = figure["value"];
  if (const std::string printed = text_of(figure, "printed"); !printed.empty()) {
    const json number = json::parse(printed, nullptr, /*allow_exceptions=*/false);
    if (!number.is_number() || number != figure["value"]) {
      return tl::unexpected(entry_error(
          entry.milestone, "`printed` is not the number of `value`: " + printable(dump(figure))));
    }
    record.printed[metric] = printed;
  }
  for (const std::string& qualifier : kQualifiers)
    if (figure.contains(qualifier)) record.fields[metric + "__" + qualifier] = figure[qualifier];
  return {};
}

// JSON with the numbers as they were printed: 6.57923e-04 does not become 0.000657923.
std::string line_text(const Line& line) {
  std::string out;
  for (const auto& [key, value] : line.fields.items()) {
    const auto printed = line.printed.find(key);
    out += (out.empty() ? "{" : ",") + dump(key) + ":" +
           (printed == line.printed.end() ? dump(value) : printed->second);
  }
  return out + "}\n";
}

// What the keys of these figures are, where the contract does not say: a diff must not take a layer
// for a result. Of fixed types, so that every report's columns are the same.
json describe_keys(const Entry& entry) {
  struct Part {
    const char *name, *type, *role;
  };
  // The place in a report is no result either: a diff must not compare it.
  constexpr Part kParts[] = {{"phase", "text", "key"},
                             {"step", "integer", "key"},
                             {"layer", "integer", "key"},
                             {"head", "integer", "key"},
                             {"context", "integer", "key"},
                             {"batch", "integer", "key"},
                             {"run", "text", "key"},
                             {"row", "text", "key"},
                             {"source_line", "integer", "address"},
                             {"source_table", "text", "address"}};
  json kinds = json::object();
  for (const auto& [kind, lines] : entry.kinds) {
    const greta::Kind* builtin = builtin_schema().find(kind);
    json fields = json::array();
    for (const Part& part : kParts) {
      const bool used =
          std::any_of(lines.lines.begin(), lines.lines.end(),
                      [&part](const Line& line) { return line.fields.contains(part.name); });
      if (!used || (builtin != nullptr && builtin->find(part.name) != nullptr)) continue;
      fields.push_back(
          {{"name", part.name}, {"type", part.type}, {"role", part.role}, {"optional", true}});
    }
    kinds[kind] = {{"doc", builtin == nullptr ? "Figures of past reports." : builtin->doc},
                   {"fields", fields}};
  }
  return {{"records", {{"version", 1}, {"kinds", kinds}}}};
}

json flags_of(const json& entry) {
  json flags = json::object();
  if (entry.contains("flags") && entry["flags"].is_object())
    for (const auto& [name, value] : entry["flags"].items())
      flags[name] = value.is_string() ? value : json(dump(value));
  return flags;
}

// The axes of an arm as the report gives them, else its name.
json axes_of(const json& entry, const std::string& variant) {
  if (variant == "default") return json::object();
  json axes = json::object();
  if (entry.contains("variants") && entry["variants"].is_object() &&
      entry["variants"].contains(variant) && entry["variants"][variant].is_object()) {
    for (const auto& [name, value] : entry["variants"][variant].items())
      axes[name] = value.is_string() ? value : json(dump(value));
  }
  if (axes.empty()) axes["variant"] = variant;
  return axes;
}

std::string date_time(const json& entry) {
  const std::string date = text_of(entry, "date");
  return date.size() == 10 ? date + "T00:00:00.000Z" : date;
}

struct RecordedBundle {
  std::string manifest;
  std::map<std::string, std::string> files;
};

RecordedBundle make_bundle(const json& source_entry, const Entry& entry, std::string_view source,
                           const std::map<std::string, std::string>& kept) {
  RecordedBundle out;
  for (const auto& [name, bytes] : kept) out.files["source/" + name] = bytes;
  out.files["entry.json"] = source_entry.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
  out.files["describe.json"] = dump(describe_keys(entry)) + "\n";
  std::string& figures = out.files["figures.jsonl"];
  for (const auto& [kind, lines] : entry.kinds)
    for (const Line& line : lines.lines) figures += line_text(line);
  json environment = {{"history", source}};
  for (const char* key : {"commit", "commit_stated", "source", "date"})
    if (!text_of(source_entry, key).empty()) environment[key] = text_of(source_entry, key);
  if (!text_of(source_entry, "model").empty())
    environment["model.file"] = text_of(source_entry, "model");
  json prompts = json::object();
  if (source_entry.contains("prompts") && source_entry["prompts"].is_array())
    for (const json& id : source_entry["prompts"])
      prompts[id.is_string() ? id.get<std::string>() : dump(id)] = json::object();
  json cells = json::array();
  for (const CellKey& cell : entry.cells) {
    cells.push_back({{"identity", ""},
                     {"prompt", cell.prompt},
                     {"request", entry.requests.at(cell)},
                     {"status", "ok"},
                     {"reason", ""}});
  }
  json files = json::array();
  for (const auto& [name, bytes] : out.files) {
    const std::string role = name == "figures.jsonl"   ? "records"
                             : name == "describe.json" ? "describe"
                                                       : "source";
    files.push_back({{"name", name},
                     {"bytes", bytes.size()},
                     {"sha256", sha256_hex(bytes)},
                     {"role", role},
                     {"kind", ""}});
  }
  const std::string date = date_time(source_entry);
  const json manifest = {{"manifest", 1},
                         {"provenance", "recorded"},
                         {"status", "ok"},
                         {"reason", ""},
                         {"started_at", date},
                         {"ended_at", date},
                         {"milestone", entry.milestone},
                         {"executor", "report"},
                         {"argv", json::array()},
                         {"variant", "default"},
                         {"variant_axes", json::object()},
                         {"repeat", 0},
                         {"cells", cells},
                         {"environment", environment},
                         {"flags", flags_of(source_entry)},
                         {"prompts", prompts},
                         {"files", files}};
  out.manifest = dump(manifest) + "\n";
  return out;
}

RunStart run_start(const json& source_entry, const Entry& entry) {
  RunStart start;
  start.milestone = entry.milestone;
  start.provenance = "recorded";
  json prose = json::object();
  json resolved = json::object();
  for (const auto& [key, value] : source_entry.items()) {
    if (key == "title" && value.is_object()) {
      start.title_json = dump(value);
    } else if (key == "title") {
      start.title_json = dump({{"en", value}});
    } else if (kProse.contains(key)) {
      prose[key] = value;
    } else if (key != "metrics" && key != "milestone") {
      resolved[key] = value;
    }
  }
  start.prose_json = dump(prose);
  start.resolved_json = dump(resolved);
  return start;
}

Result<std::string> import_entry(Database& db, const json& source_entry, std::string_view source,
                                 const std::map<std::string, std::string>& kept) {
  Entry entry;
  if (source_entry.is_object()) entry.milestone = text_of(source_entry, "milestone");
  if (entry.milestone.empty())
    return fail(Exit::usage, "recorded milestones: an entry has no `milestone`");
  if (!source_entry.contains("metrics") || !source_entry["metrics"].is_array())
    return tl::unexpected(entry_error(entry.milestone, "`metrics` must be a list"));
  for (const json& figure : source_entry["metrics"]) TRY(add_figure(entry, figure));

  RecordedBundle made = make_bundle(source_entry, entry, source, kept);
  const std::string hash = sha256_hex(made.manifest);
  const std::string date = date_time(source_entry);
  const NewRun run{.name = entry.milestone + "-recorded-" + hash.substr(0, 8),
                   .status = "complete",
                   .started_at = date,
                   .ended_at = date,
                   .note = "figures of a past report, not run here"};
  TRY_ASSIGN(Statement find, db.prepare("SELECT 1 FROM run WHERE name = ?"));
  TRY_ASSIGN(const bool known, find.bind_all(run.name).step());
  if (known) return run.name;
  MemorySource files(std::move(made.files));
  TRY(ingest(db, made.manifest, files));
  TRY_ASSIGN(const int64_t id, add_run(db, run_start(source_entry, entry), run));
  for (const CellKey& cell : entry.cells) {
    TRY(add_cell(db, id,
                 {.identity = {},
                  .variant = cell.variant,
                  .variant_json = dump(axes_of(source_entry, cell.variant)),
                  .prompt = cell.prompt,
                  .repeat = 0,
                  .status = "ok",
                  .reason = {},
                  .bundle = hash,
                  .request = entry.requests.at(cell)}));
  }
  if (entry.cells.empty()) {  // a report without a figure still has its flags and its bundle
    TRY(add_cell(db, id,
                 {.identity = {},
                  .variant = "default",
                  .variant_json = "{}",
                  .prompt = {},
                  .repeat = 0,
                  .status = "ok",
                  .reason = {},
                  .bundle = hash,
                  .request = {}}));
  }
  return run.name;
}

}  // namespace

Result<std::vector<std::string>> Store::import_recorded(std::string_view milestones_json,
                                                        std::string_view source) {
  TRY(impl_->must_write());
  const json entries = json::parse(milestones_json, nullptr, /*allow_exceptions=*/false);
  if (!entries.is_array()) return fail(Exit::usage, "recorded milestones: not a list of entries");
  TRY_ASSIGN(Transaction transaction, Transaction::begin(impl_->db));
  std::vector<std::string> names;
  for (const json& entry : entries) {
    TRY_ASSIGN(std::string name, import_entry(impl_->db, entry, source, {}));
    names.push_back(std::move(name));
  }
  TRY(transaction.commit());
  return names;
}

Result<std::string> Store::import_report(std::string_view entry_json, std::string_view source,
                                         const std::map<std::string, std::string>& files) {
  TRY(impl_->must_write());
  const json entry = json::parse(entry_json, nullptr, /*allow_exceptions=*/false);
  TRY_ASSIGN(Transaction transaction, Transaction::begin(impl_->db));
  TRY_ASSIGN(std::string name, import_entry(impl_->db, entry, source, files));
  TRY(transaction.commit());
  return name;
}

}  // namespace greta::store
