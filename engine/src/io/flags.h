#pragma once
// GRETA_* flags: one table (flags.def), parsed once from the environment. An unknown GRETA_* name
// or a value outside its type is an error with the nearest right one. Every read is remembered, so
// that effective.json can say which flags nothing read.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "contract/result.h"
#include "io/output.h"

namespace greta::engine {

enum class FlagType {
  boolean,    // 1 true yes on y | 0 false no off n, in any case
  integer,    // within FlagInfo::choices, "smallest..largest"
  choice,     // one of FlagInfo::choices
  text,       // anything
  list,       // "all", or names of FlagInfo::choices separated by commas
  layers,     // "all", or numbers, ranges (4-7) and "last" separated by commas
  heads,      // the same of query heads; empty: none
  positions,  // the same of positions in the sequence; last: the last row of each pass
  phases,     // "all", or prefill_last, decode, decode0, decode1, … separated by commas
  file,       // the bare name of a file, "x.jsonl"
};
std::string_view to_string(FlagType type);

struct FlagInfo {
  std::string_view name;  // GRETA_…
  FlagType type;
  std::string_view choices;  // "a|b|c" for choice and list, "smallest..largest" for integer
  std::string_view default_value;
  std::string_view doc;
};
std::span<const FlagInfo> flag_table();

// The value of a layers, heads or positions flag.
class NumberSet {
 public:
  static NumberSet all() { return NumberSet(true, {}); }
  static NumberSet last() { return NumberSet(false, {{-1, -1}}); }
  NumberSet() = default;  // none
  // Is `number`, one of 0 to count - 1, in it?
  bool contains(int64_t number, int64_t count) const;

 private:
  friend class Flags;
  struct Range {
    int64_t first, last;  // -1, -1: the last one
  };
  NumberSet(bool all, std::vector<Range> ranges) : all_(all), ranges_(std::move(ranges)) {}
  bool all_ = false;
  std::vector<Range> ranges_;
};

// Is `phase` in the value of a phases flag?
bool phase_selected(std::string_view value, std::string_view phase);

class Flags {
 public:
  // environment: "NAME=VALUE" entries; names not starting with GRETA_ are passed over, and so are
  // the variables of other programs of the project (GRETA_STORE).
  static Result<Flags> parse(std::span<const std::string> environment);
  static Result<Flags> from_process();
  bool boolean(std::string_view name) const;
  int64_t integer(std::string_view name) const;
  const std::string& text(std::string_view name) const;  // choice, text and file
  // A list or phases flag ("q,k,attn_out"; "all"): is this item selected?
  bool selects(std::string_view name, std::string_view item) const;
  // A layers, heads or positions flag ("0,1,2,last", "all", "4-7").
  NumberSet numbers(std::string_view name) const;
  bool has(std::string_view name) const;  // is there such a flag?

  // Errors when a layers or heads flag names one that the model does not have: the trace would
  // silently be smaller than what was asked for.
  Result<> fits(int64_t layers, int64_t heads) const;
  // Renames the output files as the …_OUT flags say, each only when its trace is on.
  Result<> apply_output_names(Output& output) const;

  struct Effective {
    std::string name, value, source;  // source: env or default
    bool read = false;
  };
  std::vector<Effective> effective() const;

  // Of a phases or positions flag: whether a trace asked if something of the run was in the
  // selection, and whether something was. The trace tells; it may outlive the flags.
  struct Looks {
    bool asked = false, matched = false;
    bool tell(bool match) {
      asked = true;
      matched = matched || match;
      return match;
    }
  };
  const std::shared_ptr<Looks>& looks(std::string_view name) const;
  // What a run without an error has to tell of its flags, a line each: a selection of phases or
  // positions that nothing of the run was in, and the flags that were set and that nothing read.
  std::vector<std::string> without_effect() const;

 private:
  struct Value {
    std::string text;
    bool from_environment = false;
    mutable bool read = false;
    std::shared_ptr<Looks> looks = std::make_shared<Looks>();
  };
  const Value& at(std::string_view name, FlagType type) const;  // asserts that the table has it
  const Value& at(std::string_view name) const;
  std::vector<Value> values_;  // in the order of the table
};

}  // namespace greta::engine
