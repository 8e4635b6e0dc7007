#pragma once
// What `greta query METRIC` and `greta history METRIC` share: the filters, and the store that they
// are asked of.

#include <optional>
#include <string>
#include <vector>

#include "commands/table_output.h"
#include "store/metric.h"
#include "system/context.h"

namespace greta::runner {

struct MetricOptions {
  std::vector<std::string> run, milestone, provenance, commit, variant, prompt, repeat, phase,
      layer, head, step, axis;
  std::string where, agg;
  std::optional<int64_t> limit;
  bool show_sql = false;
};
// The group of the help under which they stand.
inline constexpr const char* kMetricGroup = "Of a METRIC";
void add_metric_options(CLI::App& command, MetricOptions& options, const char* limit_help);
// Parts of "a,b", of every mention of an option.
std::vector<std::string> parts_of(const std::vector<std::string>& mentions);

struct FormatOptions {
  bool csv = false, markdown = false, jsonl = false;
};
void add_format_options(CLI::App& command, FormatOptions& options);
// An error (usage) where --json stands beside another format.
Result<TableFormat> format_of(const Context& context, const FormatOptions& options);

struct OpenedQuestion {
  store::Store store;
  store::MetricQuestion question;
};
// Opens the store and makes filters of the options. Recorded milestones that a filter names come in
// first. Errors: no store, an unknown run, an --axis without a value.
Result<OpenedQuestion> open_question(const Context& context, const std::string& metric,
                                     const MetricOptions& options);

// What the answer does not show, on stderr.
void say_notes(const Context& context, const std::vector<std::string>& notes);

// Whether the user has asked us to stop; for RowSink and the like.
bool interrupted();

}  // namespace greta::runner
