#pragma once
// GRETA_* flags: one table (flags.def), parsed once from the environment. An unknown GRETA_* name or
// a value outside its type is an error with the nearest right one. Every read is remembered, so that
// effective.json can say which flags nothing read.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "contract/result.h"

namespace greta::engine {

enum class FlagType { boolean, integer, choice, text, list, layers };

struct FlagInfo {
  std::string_view name;     // GRETA_…
  FlagType type;
  std::string_view choices;  // "a|b|c" for choice and list
  std::string_view default_value;
  std::string_view doc;
};
std::span<const FlagInfo> flag_table();

class Flags {
 public:
  // environment: "NAME=VALUE" entries; names not starting with GRETA_ are passed over.
  static Result<Flags> parse(std::span<const std::string> environment);
  static Result<Flags> from_process();
  bool boolean(std::string_view name) const;
  int64_t integer(std::string_view name) const;
  const std::string& text(std::string_view name) const;  // choice and text
  // A list flag ("q,k,attn_out"; "all"): is this item selected?
  bool selects(std::string_view name, std::string_view item) const;
  // A layers flag ("0,1,2,last", "all", "4-7"): is this layer of `layers` selected?
  bool selects_layer(std::string_view name, int64_t layer, int64_t layers) const;

  struct Effective {
    std::string name, value, source;  // source: env or default
    bool read = false;
  };
  std::vector<Effective> effective() const;

 private:
  struct Value {
    std::string text;
    bool from_environment = false;
    mutable bool read = false;
  };
  const Value& at(std::string_view name) const;  // asserts that the name is in the table
  std::vector<Value> values_;                    // in the order of the table
};

}  // namespace greta::engine
