#include "history/metric_source.h"

#include <algorithm>

#include "compare/run_info.h"
#include "contract/text.h"
#include "db/sqlite.h"

namespace greta::store {
namespace {

constexpr std::string_view kTextColumns[] = {"run",    "milestone", "provenance",
                                             "commit", "variant",   "prompt"};

MetricSource wall_seconds() {
  return {.kind = "cells",
          .view = cells_kind().source(),
          .field = "wall_s",
          .type = "real",
          .unit = "s",
          .timing = true,
          .has_record = false,
          .keys = {},
          .columns = {{"wall_s", "real"}}};
}

Result<std::string> unit_of(Store& store, const MetricSource& source) {
  TRY_ASSIGN(const Table found,
             select(store, -1,
                    "SELECT unit FROM fields WHERE kind = " + quoted_text(source.kind) +
                        " AND \"column\" = " + quoted_text(source.field)));
  return found.rows.empty() ? std::string() : found.rows[0][0].text;
}

Result<MetricSource> source_of(Store& store, const KindInfo& kind, const FieldInfo& field) {
  MetricSource source{.kind = kind.name,
                      .view = sql_name(kind.view),
                      .field = field.column,
                      .type = field.type,
                      .unit = {},
                      .timing = field.role == FieldRole::timing,
                      .has_record = true,
                      .keys = {},
                      .columns = {}};
  for (const std::string& key : kind.keys())
    if (key != field.column) source.keys.push_back(key);
  for (const FieldInfo& one : kind.fields) source.columns.emplace_back(one.column, one.type);
  TRY_ASSIGN(source.unit, unit_of(store, source));
  return source;
}

// Fields that a column of another name holds: SQL has no column `true`, `run` is that of the run.
struct Renamed {
  std::string kind, field, column;
};
Result<std::vector<Renamed>> renamed_fields(Store& store) {
  TRY_ASSIGN(const Table found,
             select(store, -1,
                    "SELECT kind, field, \"column\" FROM fields WHERE field <> \"column\" AND"
                    " field <> '' AND misfit = 0 AND version = 1"));
  std::vector<Renamed> out;
  for (const auto& row : found.rows) out.push_back({row[0].text, row[1].text, row[2].text});
  return out;
}

const FieldInfo* field_named(const KindInfo& kind, const std::vector<Renamed>& renamed,
                             std::string_view name) {
  if (const FieldInfo* field = kind.find(name)) return field;
  for (const Renamed& one : renamed)
    if (one.kind == kind.name && one.field == name) return kind.find(one.column);
  return nullptr;
}

// The metric as the field of this kind, if that is what it says.
const FieldInfo* meant(const KindInfo& kind, const std::vector<Renamed>& renamed,
                       std::string_view metric) {
  if (const FieldInfo* bare = field_named(kind, renamed, metric)) return bare;
  for (const std::string& name : {kind.name, kind.view}) {
    if (metric.size() <= name.size() + 1 || !metric.starts_with(name)) continue;
    if (metric[name.size()] != '.') continue;
    if (const FieldInfo* field = field_named(kind, renamed, metric.substr(name.size() + 1)))
      return field;
  }
  return nullptr;
}

Error unknown_metric(const std::vector<KindInfo>& kinds, std::string_view metric) {
  std::vector<std::string> names = {"cells.wall_s"};
  for (const KindInfo& kind : kinds) {
    if (kind.name == metric || kind.view == metric) {
      return Error{.message = "`" + std::string(metric) +
                              "` is a record kind: name a field of it, "
                              "such as " +
                              std::string(metric) + "." +
                              (kind.fields.empty() ? "FIELD" : kind.fields.back().column)};
    }
    for (const FieldInfo& field : kind.fields) {
      names.push_back(field.column);
      names.push_back(kind.view + "." + field.column);
    }
  }
  std::string hint = did_you_mean(metric, names);
  if (hint.empty()) hint = " (SELECT kind, field FROM fields lists them)";
  return Error{.message = "no record kind has a field `" + printable(metric) + "`" + hint};
}

Result<bool> has_records(Store& store, const MetricSource& source) {
  if (!source.has_record) return true;
  TRY_ASSIGN(const Table found, select(store, -1, "SELECT 1 FROM " + source.view + " LIMIT 1"));
  return !found.rows.empty();
}

}  // namespace

Result<std::vector<MetricSource>> metric_sources(Store& store, std::string_view metric) {
  TRY_ASSIGN(const auto kinds, load_kinds(store));
  TRY_ASSIGN(const auto renamed, renamed_fields(store));
  std::vector<MetricSource> all, used;
  for (const KindInfo& kind : kinds) {
    const FieldInfo* const field = meant(kind, renamed, metric);
    if (field == nullptr) continue;
    TRY_ASSIGN(MetricSource source, source_of(store, kind, *field));
    all.push_back(std::move(source));
  }
  if (metric == "wall_s" || metric == "cells.wall_s") all.push_back(wall_seconds());
  if (all.empty()) return tl::unexpected(unknown_metric(kinds, metric));
  for (const MetricSource& source : all) {
    TRY_ASSIGN(const bool any, has_records(store, source));
    if (any) used.push_back(source);
  }
  return used.empty() ? all : used;
}

std::string kinds_text(const std::vector<MetricSource>& sources) {
  constexpr size_t kMostShown = 8;
  std::vector<std::string> kinds;
  for (size_t i = 0; i < sources.size() && i < kMostShown; ++i)
    kinds.push_back(printable(sources[i].kind));
  const size_t more = sources.size() - kinds.size();
  return joined(kinds) + (more == 0 ? "" : " and " + std::to_string(more) + " more kinds");
}

bool is_number_type(std::string_view type) {
  return type == "integer" || type == "real" || type == "number";
}

const std::string* column_type(const MetricSource& source, std::string_view column) {
  static const std::string kText = "text", kInteger = "integer";
  if (column == "repeat") return &kInteger;
  if (std::find(std::begin(kTextColumns), std::end(kTextColumns), column) != std::end(kTextColumns))
    return &kText;
  for (const auto& [name, type] : source.columns)
    if (name == column) return &type;
  return nullptr;
}

std::vector<std::string> column_names(const MetricSource& source) {
  std::vector<std::string> out(std::begin(kTextColumns), std::end(kTextColumns));
  out.emplace_back("repeat");
  for (const auto& [name, type] : source.columns) out.push_back(name);
  return out;
}

}  // namespace greta::store
