// greta history METRIC: one metric over runs, commits, milestones or days.

#include <sys/ioctl.h>
#include <unistd.h>

#include "commands/history_output.h"
#include "commands/metric_options.h"
#include "commands/option_checks.h"
#include "contract/text.h"
#include "plot/svg_plot.h"
#include "plot/terminal_plot.h"
#include "system/environment.h"
#include "system/files.h"
#include "system/process.h"

namespace greta::runner {
namespace {

constexpr int64_t kUsualRuns = 200;
constexpr size_t kUsualWidth = 80, kWidest = 160;

struct HistoryOptions {
  std::string metric, by = "run", svg;
  std::vector<std::string> series = {"prompt,variant"};
  bool plot = false, no_plot = false;
  MetricOptions filters;
  FormatOptions format;
};

size_t terminal_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsualWidth;
  return std::min<size_t>(size.ws_col, kWidest);
}

Result<> print(TableFormat format, const HistoryOptions& options, const store::History& history) {
  StandardOutput out;
  std::string text;
  if (format == TableFormat::text) {
    text = table_text(history_table(history), format) + changes_text(history);
    const bool terminal = isatty(STDOUT_FILENO) == 1;
    if (history.numeric && (options.plot || (terminal && !options.no_plot))) {
      text += "\n" + terminal_plot(history_chart(history, options.by),
                                   {.width = terminal_width(),
                                    .unicode = terminal && unicode_wanted(),
                                    .colour = terminal && !colour_unwanted()});
    }
  } else {
    text = table_text(history_rows(history), format);
  }
  out.write(text) && out.flush();
  return out.failed() ? fail(Exit::infrastructure, "standard output cannot be written")
                      : Result<>();
}

Result<> print_sql(const std::string& sql) {
  StandardOutput out;
  out.write(sql + "\n") && out.flush();
  return out.failed() ? fail(Exit::infrastructure, "standard output cannot be written")
                      : Result<>();
}

Result<> must_be_drawable(const HistoryOptions& options, const store::History& history) {
  if (history.numeric || (options.svg.empty() && !options.plot)) return {};
  return fail(Exit::usage, history.metric + " holds texts: there is nothing to plot");
}

Result<> history(Context& context, const HistoryOptions& options) {
  TRY_ASSIGN(const TableFormat format, format_of(context, options.format));
  if (options.plot && format != TableFormat::text)
    return fail(Exit::usage, "--plot goes with the table for people; --svg FILE with any format");
  install_signal_handlers();
  TRY_ASSIGN(OpenedQuestion opened, open_question(context, options.metric, options.filters));
  opened.question.by = parts_of(options.series);
  opened.question.limit = options.filters.limit.value_or(kUsualRuns);
  const store::HistoryQuestion question{.metric = opened.question, .point = options.by};
  if (options.filters.show_sql) {
    TRY_ASSIGN(const std::string sql, store::history_sql(opened.store, question, interrupted));
    return print_sql(sql);
  }
  TRY_ASSIGN(const store::History found,
             store::metric_history(opened.store, question, interrupted));
  if (found.points.empty()) {
    TRY_ASSIGN(const std::string why,
               store::why_nothing(opened.store, opened.question, interrupted));
    return fail(Exit::not_measured, why);
  }
  TRY(must_be_drawable(options, found));
  if (found.older) {
    context.say("the newest " + std::to_string(opened.question.limit) +
                " runs that have it; older ones are left out (--limit 0: all)");
  }
  if (!found.constant.empty()) context.say("all: " + joined(found.constant));
  if (!options.svg.empty()) {
    TRY(write_file(options.svg, svg_plot(history_chart(found, options.by))));
    context.say("wrote " + options.svg);
  }
  TRY(print(format, options, found));
  say_notes(context, found.notes);
  return {};
}

}  // namespace

void register_history(CLI::App& app, Context& context) {
  CLI::App* const command =
      app.add_subcommand("history", "one metric over runs, commits, milestones or days");
  const auto options = std::make_shared<HistoryOptions>();
  command
      ->add_option("metric", options->metric,
                   "a field such as gap, readout.gap where several record kinds have it, or "
                   "cells.wall_s")
      ->required();
  command->add_option("--by", options->by, "a point for each run, commit, milestone or day")
      ->capture_default_str();
  command->add_option("--series", options->series, "what tells the series apart; '': nothing")
      ->allow_extra_args(false)
      ->capture_default_str();
  command->add_option("--svg", options->svg, "write the chart to this file as well")
      ->check(not_empty());
  CLI::Option* const plot = command->add_flag(
      "--plot", options->plot, "the chart as text, also where output is no terminal");
  command->add_flag("--no-plot", options->no_plot, "no chart in the terminal")->excludes(plot);
  command
      ->add_option("--run", options->filters.run,
                   "these runs: B3.21, B3.21@recorded (its latest), a run's name")
      ->allow_extra_args(false)
      ->group(kMetricGroup);
  add_format_options(*command, options->format);
  add_metric_options(*command, options->filters,
                     "the newest so many runs that have it; 0: all; default: 200");
  command->footer(
      "Without --agg a point is the largest of its records, of timings their median, of truth\n"
      "values whether all are true. Runs with a fault injected on purpose, replays and probes are\n"
      "left out unless --run or --provenance asks for them. Timings: 95 % bootstrap intervals and\n"
      "comparisons from 5 samples on, new levels by a permutation test (p < 0.01); store/QUERY.md\n"
      "examples:\n"
      "  greta history gap --by commit --prompt p4_sys --phase decode0\n"
      "  greta history attn_decode_verify.rel_l2 --milestone 'B3.2*' --svg rel_l2.svg\n"
      "  greta history cells.wall_s --milestone B3.21\n"
      "exit code: 0 answered, 2 not understood, 3 nothing found, 130 interrupted");
  command->callback([&context, options] {
    if (const auto done = history(context, *options); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
