#include "commands/metric_options.h"

#include "commands/option_checks.h"
#include "contract/text.h"
#include "run/history.h"
#include "system/process.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

bool names_recorded(const MetricOptions& options) {
  for (const auto& list : {options.run, parts_of(options.milestone)})
    for (const std::string& name : list)
      if (name.ends_with(kRecorded)) return true;
  return false;
}

// Whether the store has recorded figures of such a milestone.
Result<bool> has_recorded(store::Store& store, const std::string& milestone) {
  std::string name = milestone.substr(0, milestone.size() - kRecorded.size());
  for (size_t at = name.find('\''); at != std::string::npos; at = name.find('\'', at + 2))
    name.insert(at, 1, '\'');
  TRY_ASSIGN(const store::Table found,
             store.query("SELECT 1 FROM runs WHERE provenance = 'recorded' AND milestone GLOB '" +
                         name + "' LIMIT 1"));
  return !found.rows.empty();
}

Result<> bring_in_recorded(store::Store& store, const MetricOptions& options,
                           const fs::path& root) {
  for (const std::string& milestone : parts_of(options.milestone)) {
    if (!milestone.ends_with(kRecorded)) continue;
    TRY_ASSIGN(const bool known, has_recorded(store, milestone));
    if (known) continue;
    const bool glob = milestone.find_first_of("*?[") != std::string::npos;
    if (glob) {
      TRY(import_histories(store, root));
    } else {
      TRY(select_with_history(store, milestone, root));
    }
  }
  return {};
}

// The names of the runs that --run chose.
Result<std::vector<std::string>> chosen_runs(const Context& context, store::Store& store,
                                             const MetricOptions& options, const fs::path& root) {
  std::vector<std::string> names;
  for (const std::string& selector : options.run) {
    TRY_ASSIGN(const store::Selection selection, select_with_history(store, selector, root));
    say_if_latest(context, selection);
    names.push_back(selection.name);
  }
  return names;
}

Result<std::vector<std::pair<std::string, std::string>>> axes_of(const MetricOptions& options) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& axis : options.axis) {
    const size_t at = axis.find('=');
    if (at == std::string::npos || at == 0)
      return fail(Exit::usage, "--axis `" + printable(axis) + "`: AXIS=VALUE");
    out.emplace_back(axis.substr(0, at), axis.substr(at + 1));
  }
  return out;
}

Result<OpenedQuestion> open_for(const Context& context, const std::string& metric,
                                const MetricOptions& options, store::Access access) {
  std::error_code error;
  const fs::path root = find_history(fs::current_path(error)).parent_path().parent_path();
  TRY_ASSIGN(store::Store store, context.open_store(access));
  TRY(bring_in_recorded(store, options, root));
  store::MetricQuestion question{.metric = metric};
  TRY_ASSIGN(const auto runs, chosen_runs(context, store, options, root));
  TRY_ASSIGN(question.axes, axes_of(options));
  question.where = options.where;
  question.agg = options.agg;
  question.limit = options.limit.value_or(0);
  const std::pair<const char*, std::vector<std::string>> filters[] = {
      {"run", runs},
      {"milestone", parts_of(options.milestone)},
      {"provenance", parts_of(options.provenance)},
      {"commit", parts_of(options.commit)},
      {"variant", options.variant},
      {"prompt", parts_of(options.prompt)},
      {"repeat", parts_of(options.repeat)},
      {"phase", parts_of(options.phase)},
      {"layer", parts_of(options.layer)},
      {"head", parts_of(options.head)},
      {"step", parts_of(options.step)}};
  for (const auto& [column, accepted] : filters)
    if (!accepted.empty()) question.filters.push_back({.column = column, .accepted = accepted});
  return OpenedQuestion{.store = std::move(store), .question = std::move(question)};
}

}  // namespace

void add_metric_options(CLI::App& command, MetricOptions& options, const char* limit_help) {
  const auto add = [&](const char* name, auto& target, const char* help) {
    return command.add_option(name, target, help)->group(kMetricGroup);
  };
  const auto add_list = [&](const char* name, std::vector<std::string>& target, const char* help) {
    add(name, target, help)->allow_extra_args(false)->check(no_empty_part());
  };
  const auto add_names = [&](const char* name, std::vector<std::string>& target, const char* help) {
    add(name, target, help)->allow_extra_args(false)->check(not_empty());
  };
  add_list("--milestone", options.milestone,
           "'B3.2*', B3.20,B3.21: all runs; B3.21@recorded: the latest recorded one");
  add_list("--provenance", options.provenance, "executed, recorded, reenacted");
  add_list("--commit", options.commit, "its first digits");
  add_names("--variant", options.variant, "its name, or a glob");
  add_names("--axis", options.axis, "AXIS=VALUE of the variant: GRETA_X=1");
  add_list("--prompt", options.prompt, "p4_sys, p4_sys,p5_ba, 'p*'");
  add_list("--repeat", options.repeat, "0, 0,2, 0-3");
  add_list("--phase", options.phase, "prefill_last, decode0, 'decode*'");
  add_list("--layer", options.layer, "31, 0,31, 0-3");
  add_list("--head", options.head, "as --layer");
  add_list("--step", options.step, "as --layer");
  add("--where", options.where, "an SQL condition over the fields: \"route = 'mfma'\"")
      ->check(not_empty());
  add("--agg", options.agg, "max, min, mean, median, count, last")->check(not_empty());
  add("--limit", options.limit, limit_help)->check(not_negative());
  command.add_flag("--show-sql", options.show_sql, "print the query instead of its answer")
      ->group(kMetricGroup);
}

std::vector<std::string> parts_of(const std::vector<std::string>& mentions) {
  std::vector<std::string> out;
  for (const std::string& mention : mentions) {
    for (size_t begin = 0; begin <= mention.size();) {
      const size_t end = std::min(mention.find(',', begin), mention.size());
      if (end > begin) out.push_back(mention.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return out;
}

void add_format_options(CLI::App& command, FormatOptions& options) {
  CLI::Option* const csv = command.add_flag("--csv", options.csv, "comma-separated values");
  CLI::Option* const md = command.add_flag("--md", options.markdown, "a Markdown table");
  CLI::Option* const jsonl = command.add_flag("--jsonl", options.jsonl, "one JSON object a line");
  csv->excludes(md)->excludes(jsonl);
  md->excludes(jsonl);
}

Result<TableFormat> format_of(const Context& context, const FormatOptions& options) {
  const char* other = options.csv        ? "--csv"
                      : options.markdown ? "--md"
                      : options.jsonl    ? "--jsonl"
                                         : nullptr;
  if (context.json && other != nullptr)
    return fail(Exit::usage, std::string("--json excludes ") + other);
  if (options.csv) return TableFormat::csv;
  if (options.markdown) return TableFormat::markdown;
  if (options.jsonl) return TableFormat::jsonl;
  return context.json ? TableFormat::json : TableFormat::text;
}

void say_notes(const Context& context, const std::vector<std::string>& notes) {
  for (const std::string& note : notes) context.say("note: " + note);
}

// For writing only where recorded figures have to come in.
Result<OpenedQuestion> open_question(const Context& context, const std::string& metric,
                                     const MetricOptions& options) {
  auto opened = open_for(context, metric, options, store::Access::read_only);
  if (opened || !names_recorded(options)) return opened;
  return open_for(context, metric, options, store::Access::read_write);
}

bool interrupted() { return process_cancel().requested(); }

}  // namespace greta::runner
