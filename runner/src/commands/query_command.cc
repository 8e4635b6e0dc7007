// greta query SQL: the history answers.

#include <iostream>
#include <iterator>

#include "commands/table_output.h"
#include "run/history.h"
#include "system/context.h"

namespace greta::runner {
namespace {

struct QueryOptions {
  std::string sql, run;
  bool csv = false, markdown = false, jsonl = false;
};

TableFormat format_of(const Context& context, const QueryOptions& options) {
  if (options.csv) return TableFormat::csv;
  if (options.markdown) return TableFormat::markdown;
  if (options.jsonl) return TableFormat::jsonl;
  return context.json ? TableFormat::json : TableFormat::text;
}

Result<> query(Context& context, const QueryOptions& options) {
  std::string sql = options.sql;
  if (sql == "-") sql.assign(std::istreambuf_iterator<char>(std::cin), {});
  const auto print = [&](store::Store& store, int64_t run) -> Result<> {
    StandardOutput out;
    const auto writer = table_writer(format_of(context, options),
                                     [&](std::string_view part) { return out.write(part); });
    TRY(store.query(sql, run, writer->sink()));
    if (writer->finish() && out.flush()) return {};
    return out.failed() ? fail(Exit::infrastructure, "standard output cannot be written")
                        : Result<>();
  };
  if (options.run.empty()) {
    TRY_ASSIGN(store::Store store, context.open_store(store::Access::read_only));
    return print(store, -1);
  }
  TRY_ASSIGN(OpenedRun opened, open_run(context, options.run));
  return print(opened.store, opened.selection.run);
}

}  // namespace

void register_query(CLI::App& app, Context& context) {
  CLI::App* const command = app.add_subcommand("query", "SQL over the history (read-only)");
  const auto options = std::make_shared<QueryOptions>();
  command->add_option("sql", options->sql, "one SELECT; - reads it from standard input")
      ->required();
  command->add_option("--run", options->run,
                      "see this run only: B3.21, B3.21@recorded, a run's name");
  CLI::Option* const csv = command->add_flag("--csv", options->csv, "comma-separated values");
  CLI::Option* const md = command->add_flag("--md", options->markdown, "a Markdown table");
  CLI::Option* const jsonl = command->add_flag("--jsonl", options->jsonl, "one JSON object a line");
  csv->excludes(md)->excludes(jsonl);
  md->excludes(jsonl);
  command->footer(
      "views: runs cells axes gates bundles files environment flags kernels prompts records kinds "
      "fields,\n"
      "and one for every record kind (SELECT * FROM kinds); columns and their meaning: SELECT * "
      "FROM fields\n"
      "examples:\n"
      "  greta query \"SELECT prompt, layer, max(rel_l2) FROM attn_decode_verify GROUP BY 1, 2\"\n"
      "  greta query --run B3.21@recorded \"SELECT * FROM readout\"\n"
      "  greta query \"SELECT greta_line(record) FROM readout WHERE top1_id = 96965\"");
  command->callback([&context, options] {
    if (const auto done = query(context, *options); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
