// greta show RUN: one run, everything that is known of it. Each section is a query over the run's
// views.

#include "commands/show_command.h"

#include <nlohmann/json.hpp>

#include "commands/table_output.h"
#include "run/history.h"

namespace greta::runner {
namespace {

struct Section {
  const char* name;   // key in --json
  const char* title;  // heading
  const char* sql;
  bool always;  // shown when empty too
};

// A bundle serves several cells and a run has several bundles: what is the same in all is said
// once.
constexpr Section kSections[] = {
    {"cells", "Cells",
     "SELECT variant, prompt, repeat, status, CASE cached WHEN 1 THEN 'yes' ELSE '' END AS cached,"
     " wall_s, reason FROM cells ORDER BY variant, repeat, prompt",
     true},
    {"gates", "Gates",
     "SELECT id, status, measured, limit_value AS \"limit\", row_count AS rows, worst, message"
     " FROM gates ORDER BY position",
     false},
    {"environment", "Environment",
     "SELECT key, value, CASE WHEN (SELECT count(DISTINCT value) FROM environment e WHERE e.key ="
     " environment.key) > 1 THEN group_concat(DISTINCT variant) ELSE '' END AS only_in"
     " FROM environment GROUP BY key, value ORDER BY key, value",
     false},
    {"flags", "Flags",
     "SELECT name, value, source, CASE read WHEN 1 THEN 'read' WHEN 0 THEN 'NOT READ' ELSE "
     "'unknown'"
     " END AS read, CASE WHEN (SELECT count(DISTINCT f.value) FROM flags f WHERE f.name = "
     "flags.name)"
     " > 1 THEN group_concat(DISTINCT variant) ELSE '' END AS only_in FROM flags"
     " GROUP BY name, value, source, read ORDER BY source = 'default', name, value",
     false},
    {"kernels", "Kernels",
     "SELECT variant, id, op, kernel_variant, code_hash, sum(launches) AS launches FROM kernels"
     " GROUP BY variant, id, op, kernel_variant, code_hash ORDER BY variant, op, id",
     false},
    {"records", "Records",
     "SELECT kind, state, count(*) AS lines FROM records GROUP BY kind, state ORDER BY kind, state",
     true},
    {"bundles", "Bundles",
     "SELECT bundle, provenance, status, exit_code, signal, executor, wall_s, reason FROM bundles"
     " ORDER BY started_at, bundle",
     false},
};

// {"en": …, "es": …} in English, else as it is: the report is where both languages are read.
std::string in_english(const nlohmann::ordered_json& text) {
  if (text.is_object() && text.contains("en")) return in_english(text["en"]);
  return text.is_string() ? text.get<std::string>() : text.dump();
}

std::string heading_line(const std::string& name, const std::string& value) {
  if (value.empty() || value == "{}" || value == "[]") return {};
  constexpr size_t kNameWidth = 12;
  return name + std::string(kNameWidth - std::min(kNameWidth - 1, name.size()), ' ') + value + "\n";
}

std::string heading(const store::Table& run) {
  std::string out;
  for (size_t i = 0; i < run.columns.size(); ++i) {
    const std::string value = to_text(run.rows.at(0).at(i));
    const auto json = nlohmann::ordered_json::parse(value, nullptr, /*allow_exceptions=*/false);
    if (run.columns[i] == "prose" && json.is_object()) {
      for (const auto& [key, text] : json.items()) out += heading_line(key, in_english(text));
    } else if (run.columns[i] == "title" && json.is_object()) {
      out += heading_line("title", in_english(json));
    } else {
      out += heading_line(run.columns[i], value);
    }
  }
  return out;
}

Result<std::string> as_text(OpenedRun& opened, const std::vector<store::Table>& tables) {
  TRY_ASSIGN(
      const store::Table run,
      opened.store.query("SELECT run, milestone, title, status, provenance, started_at,"
                         " ended_at, \"commit\", CASE accepted WHEN 1 THEN 'yes' ELSE 'no' END"
                         " AS accepted, baseline, spec_path AS spec, note, prose FROM runs",
                         opened.selection.run));
  std::string out = heading(run);
  for (size_t i = 0; i < tables.size(); ++i) {
    if (tables[i].rows.empty() && !kSections[i].always) continue;
    out += "\n" + std::string(kSections[i].title) + "\n" + table_text(tables[i], TableFormat::text);
  }
  return out;
}

Result<std::string> as_json(OpenedRun& opened, const std::vector<store::Table>& tables) {
  TRY_ASSIGN(const store::Table run,
             opened.store.query("SELECT * FROM runs", opened.selection.run));
  std::string out = "{\"run\": " + table_text(run, TableFormat::json);
  for (size_t i = 0; i < tables.size(); ++i) {
    out +=
        ", \"" + std::string(kSections[i].name) + "\": " + table_text(tables[i], TableFormat::json);
  }
  const auto whole = nlohmann::ordered_json::parse(out + "}", nullptr, /*allow_exceptions=*/false);
  if (whole.is_discarded()) return fail(Exit::infrastructure, "the run cannot be shown as JSON");
  auto shown = whole;
  shown["run"] = whole["run"].at(0);
  return shown.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<> show(Context& context, const std::string& selector) {
  TRY_ASSIGN(OpenedRun opened, open_run(context, selector));
  std::vector<store::Table> tables;
  for (const Section& section : kSections) {
    TRY_ASSIGN(store::Table table, opened.store.query(section.sql, opened.selection.run));
    tables.push_back(std::move(table));
  }
  TRY_ASSIGN(const std::string text,
             context.json ? as_json(opened, tables) : as_text(opened, tables));
  StandardOutput out;
  out.write(text) && out.flush();
  return out.failed() ? fail(Exit::infrastructure, "standard output cannot be written")
                      : Result<>();
}

}  // namespace

void register_show(CLI::App& app, Context& context) {
  CLI::App* const command =
      app.add_subcommand("show", "one run: cells, gates, environment, flags, kernels");
  const auto run = std::make_shared<std::string>();
  command->add_option("run", *run, "B3.21, B3.21@recorded, a run's name or the start of it")
      ->required();
  command->callback([&context, run] {
    if (const auto done = show(context, *run); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
