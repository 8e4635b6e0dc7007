#pragma once
// What gates, diff, lints and report read of a run before they look at records: its kinds and
// fields, its variants with axes and flags, its environment and prompts.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "contract/schema.h"
#include "store/store.h"

namespace greta::store {

struct FieldInfo {
  std::string column, type;  // type as in records.json, or number, json when nobody described it
  FieldRole role = FieldRole::value;
  bool described = true;
  std::string unit = {};
  std::string name =
      {};  // in the lines; one that was described with several types has several columns
};
struct KindInfo {
  std::string name;
  std::string view;            // its name, or a SELECT in brackets
  std::string source() const;  // the same as SQL behind FROM
  std::vector<FieldInfo> fields;
  const FieldInfo* find(std::string_view column) const;
  std::vector<std::string> field_names() const;
  // Columns that tell the records of one cell apart. Where nobody described the kind: the names
  // that greta's own kinds use for that.
  std::vector<std::string> keys() const;
};

struct FlagUse {
  std::string value;
  std::string source;        // env, default, given
  std::optional<bool> read;  // unknown when the engine did not say
  bool operator==(const FlagUse&) const = default;
};
struct VariantInfo {
  std::string name;
  std::string label;  // the name for readers: without the axes that a diff chose
  std::map<std::string, std::string> axes;
  std::map<std::string, FlagUse> flags;
  std::set<std::string> kernels;  // code hashes of what its processes launched; empty: not known
};
struct PromptInfo {
  std::string sha256, text;  // "" when not known
};
struct RunInfo {
  int64_t id = 0;
  std::string name, milestone, title, prose, provenance, status, started_at, ended_at, note;
  std::vector<std::string> baseline;
  std::vector<VariantInfo> variants;  // in the order of the cells
  // Every value that a key has in the run's bundles; more than one where attempts differ.
  std::map<std::string, std::set<std::string>> environment;
  std::set<std::string> environment_empty;  // keys that an attempt recorded without a value
  std::map<std::string, PromptInfo> prompts;
  int64_t cells = 0, failed = 0, cached = 0;
};

// What greta itself measures of the processes of a run, as if it were a record kind:
// `cells.wall_s`, the seconds of each engine process that really ran for the run. One that served
// several cells counts once (by the first of their prompts), and is of no prompt then.
const KindInfo& cells_kind();
// Every kind that the store knows, in the order in which it met them.
Result<std::vector<KindInfo>> load_kinds(Store& store);
// The kinds that have records in this run.
Result<std::vector<KindInfo>> kinds_of_run(Store& store, int64_t run);
Result<RunInfo> load_run(Store& store, int64_t run);
// The same of some of its variants: their environment, prompts and cells alone.
Result<RunInfo> load_run(Store& store, int64_t run, const std::set<std::string>& variants);

// SELECT … in the scope of the run; `columns` and `rows` as Store::query gives them, errors with
// the SQL in front.
Result<Table> select(Store& store, int64_t run, const std::string& sql);

// Whether a field says what was computed, and not where, how, or how fast.
bool is_result(FieldRole role);
bool is_number(const Value& value);
double to_double(const Value& value);  // NaN when it is no number
bool same_value(const Value& a, const Value& b);
double distance(const Value& a, const Value& b);  // |a − b|, of whole numbers exact; else NaN

// A column name as SQL: bare where that is allowed, else in double quotes.
std::string sql_name(std::string_view name);
std::vector<std::string> sql_names(const std::vector<std::string>& names);
// "variant=default, prompt=p4_sys, layer=3": the named columns that are not NULL, of one row.
std::string row_place(const Table& table, size_t row, const std::vector<std::string>& columns);

}  // namespace greta::store
