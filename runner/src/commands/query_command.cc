// greta query SQL | METRIC: the history answers.

#include <algorithm>
#include <cctype>
#include <iostream>
#include <iterator>

#include "commands/metric_options.h"
#include "commands/option_checks.h"
#include "commands/table_output.h"
#include "contract/text.h"
#include "run/history.h"
#include "system/process.h"

namespace greta::runner {
namespace {

constexpr int64_t kUsualTableRows = 200;  // of a table for people

struct QueryOptions {
  std::string question, order = "time";
  std::vector<std::string> by;
  MetricOptions metric;
  FormatOptions format;
};

// SQL has at least two words. Letters of every script are letters (Δgap).
bool is_metric(const std::string& question) {
  return !question.empty() && std::all_of(question.begin(), question.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || std::isalnum(byte) != 0 || c == '_' || c == '.';
  });
}

Result<> finish_table(TableWriter& writer, StandardOutput& out) {
  if (!out.failed() && writer.finish()) out.flush();  // a flush after a failure would succeed
  return out.failed() ? fail(Exit::infrastructure, "standard output cannot be written")
                      : Result<>();
}

// ── SQL ──

Result<> print_sql(Context& context, const QueryOptions& options, const std::string& sql,
                   store::Store& store, int64_t run) {
  TRY_ASSIGN(const TableFormat format, format_of(context, options.format));
  StandardOutput out;
  const auto writer = table_writer(format, [&](std::string_view part) { return out.write(part); });
  install_signal_handlers();
  store::RowSink sink = writer->sink();
  sink.cancelled = interrupted;
  TRY(store.query(sql, run, sink));
  return finish_table(*writer, out);
}

Result<> query_sql(Context& context, const QueryOptions& options) {
  std::string sql = options.question;
  if (sql == "-") sql.assign(std::istreambuf_iterator<char>(std::cin), {});
  if (options.metric.run.size() > 1)
    return fail(Exit::usage, "SQL sees one --run or all of them: `WHERE run IN (…)` chooses");
  if (options.metric.run.empty()) {
    TRY_ASSIGN(store::Store store, context.open_store(store::Access::read_only));
    return print_sql(context, options, sql, store, -1);
  }
  TRY_ASSIGN(OpenedRun opened, open_run(context, options.metric.run[0]));
  return print_sql(context, options, sql, opened.store, opened.selection.run);
}

// ── METRIC ──

Result<store::MetricQuestion::Order> order_of(const std::string& name) {
  using Order = store::MetricQuestion::Order;
  const std::vector<std::string> names = {"time", "worst", "best"};
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return std::array{Order::time, Order::worst, Order::best}[i];
  return fail(Exit::usage,
              "--order `" + printable(name) + "`: " + joined(names) + did_you_mean(name, names));
}

// What is the same in every row is said once, and what only programs want is left out.
store::Table for_people(const Context& context, const store::MetricQuery& query,
                        const store::Table& table) {
  const std::string_view always[] = {"run", "milestone", query.value, "records"};
  std::vector<size_t> kept;
  std::vector<std::string> constant;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const std::string& name = table.columns[i];
    if (std::find(query.background.begin(), query.background.end(), name) != query.background.end())
      continue;
    const std::string first = to_text(table.rows[0][i]);
    const bool varies = std::any_of(table.rows.begin(), table.rows.end(),
                                    [&](const auto& row) { return to_text(row[i]) != first; });
    const bool is_value = std::find(std::begin(always), std::end(always), name) != std::end(always);
    if (varies || is_value) {
      kept.push_back(i);
    } else if (!first.empty()) {
      constant.push_back(name + " " + printable(first));
    }
  }
  if (!constant.empty()) context.say("all: " + joined(constant));
  store::Table out;
  for (const size_t i : kept) out.columns.push_back(table.columns[i]);
  for (const auto& row : table.rows) {
    out.rows.emplace_back();
    for (const size_t i : kept) out.rows.back().push_back(row[i]);
  }
  return out;
}

Result<> nothing(OpenedQuestion& opened) {
  TRY_ASSIGN(const std::string why, store::why_nothing(opened.store, opened.question, interrupted));
  return fail(Exit::not_measured, why);
}

Result<> print_table(const Context& context, OpenedQuestion& opened,
                     const store::MetricQuery& query, int64_t most) {
  store::Table table;
  TRY(opened.store.query(query.sql, -1,
                         {.columns =
                              [&](const std::vector<std::string>& names) {
                                table.columns = names;
                                return true;
                              },
                          .row =
                              [&](const std::vector<store::Value>& row) {
                                table.rows.push_back(row);
                                return true;
                              },
                          .cancelled = interrupted}));
  if (table.rows.empty()) return nothing(opened);
  const bool more = most > 0 && static_cast<int64_t>(table.rows.size()) > most;
  if (more) table.rows.resize(static_cast<size_t>(most));
  StandardOutput out;
  out.write(table_text(for_people(context, query, table), TableFormat::text)) && out.flush();
  if (more)
    context.say("the first " + std::to_string(most) + " rows; there are more (--limit 0: all)");
  return out.failed() ? fail(Exit::infrastructure, "standard output cannot be written")
                      : Result<>();
}

Result<> print_rows(TableFormat format, OpenedQuestion& opened, const store::MetricQuery& query) {
  StandardOutput out;
  const auto writer = table_writer(format, [&](std::string_view part) { return out.write(part); });
  store::RowSink sink = writer->sink();
  sink.cancelled = interrupted;
  bool any = false;
  sink.row = [&](const std::vector<store::Value>& row) {
    any = true;
    return writer->row(row);
  };
  TRY(opened.store.query(query.sql, -1, sink));
  TRY(finish_table(*writer, out));
  return any || out.failed() ? Result<>() : nothing(opened);
}

Result<> query_metric(Context& context, const QueryOptions& options) {
  install_signal_handlers();
  TRY_ASSIGN(OpenedQuestion opened, open_question(context, options.question, options.metric));
  opened.question.by = parts_of(options.by);
  TRY_ASSIGN(opened.question.order, order_of(options.order));
  TRY_ASSIGN(const TableFormat format, format_of(context, options.format));
  // One row more than is shown tells whether there are more.
  const bool usual =
      format == TableFormat::text && !options.metric.limit && !options.metric.show_sql;
  if (usual) opened.question.limit = kUsualTableRows + 1;
  TRY_ASSIGN(const store::MetricQuery query, store::metric_query(opened.store, opened.question));
  if (options.metric.show_sql) {
    StandardOutput out;
    out.write(query.sql + "\n") && out.flush();
    return out.failed() ? fail(Exit::infrastructure, "standard output cannot be written")
                        : Result<>();
  }
  TRY(format == TableFormat::text ? print_table(context, opened, query, usual ? kUsualTableRows : 0)
                                  : print_rows(format, opened, query));
  TRY_ASSIGN(const auto notes,
             store::metric_notes(opened.store, opened.question, query.sources, interrupted));
  say_notes(context, notes);
  return {};
}

Result<> query(Context& context, const CLI::App& command, const QueryOptions& options) {
  if (is_metric(options.question)) return query_metric(context, options);
  for (const CLI::Option* option : command.get_options())
    if (option->get_group() == kMetricGroup && option->count() > 0)
      return fail(Exit::usage, option->get_name() + " goes with a METRIC; SQL says it by itself");
  return query_sql(context, options);
}

}  // namespace

void register_query(CLI::App& app, Context& context) {
  CLI::App* const command =
      app.add_subcommand("query", "a metric by its name, or SQL, over the history (read-only)");
  const auto options = std::make_shared<QueryOptions>();
  command
      ->add_option("question", options->question,
                   "METRIC: a field such as gap, or readout.gap where several record kinds have "
                   "it; or SQL: one SELECT; - reads it from standard input")
      ->required();
  command
      ->add_option("--run", options->metric.run,
                   "this run only: B3.21, B3.21@recorded (its latest), a run's name")
      ->allow_extra_args(false);
  add_format_options(*command, options->format);
  add_metric_options(*command, options->metric,
                     "at most so many rows; 0: all; default: 200 for people, else all");
  command
      ->add_option("--by", options->by,
                   "one row for each of these, by --agg: milestone,prompt,layer; also day")
      ->allow_extra_args(false)
      ->check(no_empty_part())
      ->group(kMetricGroup);
  command
      ->add_option("--order", options->order,
                   "time; worst (NaN, then the largest; of rates and truth values the smallest) or "
                   "best first")
      ->group(kMetricGroup)
      ->capture_default_str();
  command->footer(
      "examples:\n"
      "  greta query attn_out_mae --milestone 'B3.2*' --prompt p4_sys --layer 31\n"
      "  greta query attn_decode_verify.rel_l2 --run B3.21 --agg max --by layer --order worst\n"
      "  greta query \"SELECT prompt, layer, max(rel_l2) FROM attn_decode_verify GROUP BY 1, 2\"\n"
      "--show-sql prints the SQL of a METRIC, to go on from.\n"
      "SQL reads the views runs cells axes gates bundles files environment flags kernels prompts\n"
      "records kinds fields, and one for every record kind (SELECT * FROM kinds); columns and\n"
      "their meaning: SELECT * FROM fields. More: store/QUERY.md\n"
      "exit code: 0 answered (SQL: also by no row), 2 not understood, 3 no such METRIC found,\n"
      "130 interrupted");
  command->callback([&context, command, options] {
    if (const auto done = query(context, *command, *options); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
