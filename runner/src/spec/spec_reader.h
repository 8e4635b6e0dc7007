#pragma once
// From YAML nodes to typed values. Each function answers nothing and reports to `problems` when the
// node is not what the key wants; `name` is the key's path as people write it ("engine.image").

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spec/yaml_node.h"

namespace greta::runner {

// A map of the named section of spec_keys.h. Reports unknown keys once, when made.
class MapReader {
 public:
  MapReader(const YamlNode& node, std::string name, std::string_view section, Problems& problems);
  bool valid() const { return valid_; }
  // A slip in a key explains why another one seems to be missing: no need to say that too.
  bool has_unknown_keys() const { return has_unknown_keys_; }
  // The value of a key; null when absent. A key without a value is reported.
  const YamlNode* get(std::string_view key);
  std::string path(std::string_view key) const;  // "engine.image"

 private:
  const YamlNode& node_;
  std::string name_;
  Problems& problems_;
  bool valid_ = false, has_unknown_keys_ = false;
};

// Reports and answers false unless the node is of that kind. `what` names the wish: "a list of
// texts".
bool expect_kind(const YamlNode& node, YamlNode::Kind kind, std::string_view name,
                 std::string_view what, Problems& problems);

std::optional<std::string> read_text(const YamlNode& node, std::string_view name,
                                     Problems& problems);
std::optional<std::string> read_text_not_empty(const YamlNode& node, std::string_view name,
                                               Problems& problems);
// The same of what YAML takes for a text: 5 and true are none unless they are in quotes.
std::optional<std::string> read_words(const YamlNode& node, std::string_view name,
                                      Problems& problems);
// Letters, digits, `.`, `_` and `-`, beginning with a letter or digit: usable in file names.
std::optional<std::string> read_name(const YamlNode& node, std::string_view name,
                                     Problems& problems);
std::optional<int64_t> read_whole(const YamlNode& node, std::string_view name, int64_t least,
                                  int64_t most, Problems& problems);
std::optional<bool> read_boolean(const YamlNode& node, std::string_view name, Problems& problems);
std::optional<std::string> read_choice(const YamlNode& node, std::string_view name,
                                       const std::vector<std::string>& choices, Problems& problems);
// `90s`, `10m`, `1h30m`, `500ms` → seconds.
std::optional<double> read_duration(const YamlNode& node, std::string_view name,
                                    Problems& problems);
// `8GiB`, `512MiB`, `20MB` → bytes.
std::optional<int64_t> read_size(const YamlNode& node, std::string_view name, Problems& problems);
// A lower-case SHA-256; upper case is accepted.
std::optional<std::string> read_sha256(const YamlNode& node, std::string_view name,
                                       Problems& problems);

enum class OneIsEnough { yes, no };  // may a single text stand for a list of one?
std::vector<std::string> read_texts(const YamlNode& node, std::string_view name, OneIsEnough one,
                                    Problems& problems);

// A decimal number in a whole text ("1e-5"); nothing when it is not one, NaN and infinity included.
std::optional<double> parse_number(std::string_view text);
std::optional<int64_t> parse_integer(std::string_view text);  // the same of a whole one: "-12"
// A scalar without quotes that YAML takes for true or false.
bool is_boolean(const YamlNode& node);
bool is_identifier(std::string_view text);  // [A-Za-z_][A-Za-z0-9_]*
bool is_name(std::string_view text);        // what read_name accepts
// Without leading zeros, signs or other decoration; nothing when it is not one or too large.
std::optional<int64_t> parse_whole(std::string_view text);

}  // namespace greta::runner
