#include "history/metric_condition.h"

#include <algorithm>
#include <optional>

#include "compare/run_info.h"
#include "contract/text.h"
#include "db/sqlite.h"
#include "history/metric_source.h"

namespace greta::store {
namespace {

constexpr std::string_view kRecorded = "@recorded";

bool is_glob(std::string_view text) { return text.find_first_of("*?[") != std::string_view::npos; }

std::string matches_text(const std::string& column, const std::string& text) {
  return column + (is_glob(text) ? " GLOB " : " = ") + quoted_text(text);
}

// Of the view `runs`. As for Store::select, @recorded stands for the latest of a milestone's
// recorded runs.
std::string matches_milestone(const std::string& text) {
  if (!text.ends_with(kRecorded)) return matches_text("milestone", text);
  const std::string name = text.substr(0, text.size() - kRecorded.size());
  return "run_id IN (SELECT run_id FROM (SELECT run_id, row_number() OVER (PARTITION BY milestone"
         " ORDER BY started_at DESC, run_id DESC) AS place FROM runs WHERE provenance = 'recorded'"
         " AND " +
         matches_text("milestone", name) + ") WHERE place = 1)";
}

// The end of a decimal number that begins at `at`; npos when none does.
size_t number_end(std::string_view text, size_t at) {
  size_t end = at;
  if (end < text.size() && text[end] == '-') ++end;
  const size_t digits = end;
  while (end < text.size() && ((text[end] >= '0' && text[end] <= '9') || text[end] == '.')) ++end;
  return end == digits || text[end - 1] == '.' || text[digits] == '.' ? std::string_view::npos
                                                                      : end;
}

// "3" or "0-3" as a condition.
std::optional<std::string> matches_number(const std::string& column, std::string_view text) {
  const size_t first = number_end(text, 0);
  if (first == std::string_view::npos) return std::nullopt;
  const std::string low(text.substr(0, first));
  if (first == text.size()) return column + " = " + low;
  if (text[first] != '-' || number_end(text, first + 1) != text.size()) return std::nullopt;
  return column + " BETWEEN " + low + " AND " + std::string(text.substr(first + 1));
}

Result<std::string> matches(const std::string& column, const std::string& type,
                            const std::string& text) {
  const std::string name = "t." + sql_name(column);
  if (column == "commit" && !is_glob(text)) return name + " GLOB " + quoted_text(text + "*");
  if (type == "boolean" && (text == "true" || text == "false"))
    return name + " = " + (text == "true" ? "1" : "0");
  if (!is_number_type(type) && type != "boolean") return matches_text(name, text);
  if (auto number = matches_number(name, text)) return *number;
  return fail(Exit::usage, "`" + printable(text) + "` is no " + column +
                               ": a number such as 3, or a range such as 0-3");
}

Result<Condition> condition_of(const MetricSource& source, const MetricFilter& filter) {
  const bool milestone = filter.column == "milestone";
  const std::string* const type = column_type(source, filter.column);
  std::vector<std::string> parts;
  for (const std::string& text : filter.accepted) {
    if (milestone) {
      parts.push_back(matches_milestone(text));
      continue;
    }
    TRY_ASSIGN(std::string part, matches(filter.column, *type, text));
    parts.push_back(std::move(part));
  }
  std::string sql = joined(parts, " OR ");
  // A list of runs, so that SQLite starts from them and not from every record.
  if (milestone) {
    sql = "t.run IN (SELECT run FROM runs WHERE " + sql + ")";
  } else if (parts.size() > 1) {
    sql = "(" + sql + ")";
  }
  return Condition{.column = filter.column,
                   .sql = std::move(sql),
                   .shown = filter.column + " " + joined(filter.accepted)};
}

Condition axis_condition(const std::string& axis, const std::string& value) {
  return {.column = axis,
          .sql =
              "EXISTS (SELECT 1 FROM axes AS a WHERE a.run = t.run AND a.variant = t.variant"
              " AND a.axis = " +
              quoted_text(axis) + " AND " + matches_text("a.value", value) + ")",
          .shown = axis + "=" + value};
}

std::vector<std::string> asked_columns(const MetricQuestion& question) {
  std::vector<std::string> out;
  for (const MetricFilter& filter : question.filters) out.push_back(filter.column);
  for (const std::string& column : question.by)
    if (column != "day" && column != "kind") out.push_back(column);
  return out;
}

}  // namespace

Result<std::vector<Condition>> conditions_of(const MetricSource& source,
                                             const MetricQuestion& question) {
  std::vector<Condition> out;
  for (const MetricFilter& filter : question.filters) {
    TRY_ASSIGN(Condition condition, condition_of(source, filter));
    out.push_back(std::move(condition));
  }
  for (const auto& [axis, value] : question.axes) out.push_back(axis_condition(axis, value));
  return out;
}

Result<std::vector<MetricSource>> sources_with_columns(std::vector<MetricSource> sources,
                                                       const MetricQuestion& question) {
  std::vector<MetricSource> left;
  std::string missing;
  for (const MetricSource& source : sources) {
    const auto columns = asked_columns(question);
    const auto lacks = std::find_if(columns.begin(), columns.end(), [&](const std::string& name) {
      return column_type(source, name) == nullptr;
    });
    if (lacks == columns.end()) {
      left.push_back(source);
    } else {
      missing = *lacks;
    }
  }
  if (!left.empty()) return left;
  std::vector<std::string> names;
  for (const MetricSource& source : sources)
    for (std::string& name : column_names(source)) names.push_back(std::move(name));
  std::string message =
      "the records of " + kinds_text(sources) + " have no `" + printable(missing) + "`";
  const std::string hint = did_you_mean(missing, names);
  if (hint.empty() && !sources[0].keys.empty())
    message += "; " + sources[0].kind + " has " + joined(sources[0].keys);
  return fail(Exit::usage, message + hint);
}

Result<> check_where(Store& store, const MetricSource& source, const std::string& where) {
  if (where.empty()) return {};
  const std::string before = "SELECT 1 FROM " + source.view + " WHERE ";
  const RowSink nothing{.columns = [](const std::vector<std::string>&) { return false; },
                        .row = [](const std::vector<Value>&) { return false; }};
  // By itself, so that it closes no bracket that it did not open, …
  auto alone = store.query(before + where + "\n", -1, nothing);
  if (!alone) {
    Error& error = alone.error();
    error.file = "--where";
    if (error.line == 1) error.column -= static_cast<int>(before.size());
    return tl::unexpected(std::move(error));
  }
  // … and in brackets, so that nothing follows it: a LIMIT, the rest of a comment.
  if (store.query(before + "(" + where + "\n)", -1, nothing)) return {};
  return fail(Exit::usage,
              "--where `" + printable(where) + "`: one condition, and nothing after it");
}

}  // namespace greta::store
