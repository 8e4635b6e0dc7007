#pragma once
// A YAML file as a tree that remembers where everything stood. Unlike yaml-cpp's own nodes it keeps
// the order of keys, refuses a key given twice, and leaves every scalar as it was written: `on`,
// `1e3` and `0123` are texts until the key that they stand under says what it wants.

#include <string>
#include <string_view>
#include <vector>

#include "spec/spec.h"
#include "spec/yaml_problems.h"

namespace greta::runner {

struct YamlNode {
  enum class Kind { null, scalar, list, map };
  struct Entry;

  Kind kind = Kind::null;
  std::string text;     // scalar
  bool quoted = false;  // scalar in quotes, or a | or > block
  Place place;
  std::vector<YamlNode> items;  // list
  std::vector<Entry> entries;   // map, in file order; keys are unique

  const YamlNode* find(std::string_view key) const;
  const Entry* find_entry(std::string_view key) const;
};

struct YamlNode::Entry {
  std::string key;
  Place place;  // of the key
  YamlNode value;
};

inline constexpr size_t kMostYamlBytes = size_t{1} << 20;

// Parses one document. `file` is the path to print. Mistakes go to `problems`; after one that
// leaves nothing to read the result is null, after a key given twice it is the rest. Refused: what
// is not UTF-8 or not YAML, an empty file, several documents, keys given twice or that are not
// text, tags of one's own, unclosed quotes, and what grows out of proportion (size, depth, aliases
// that multiply). Aliases and `<<` are resolved.
YamlNode parse_yaml(std::string_view text, const std::string& file, Problems& problems,
                    size_t most_bytes = kMostYamlBytes);

// "`two`", "a list", "a map", "no value": for messages.
std::string describe(const YamlNode& node);

// Each counted once for every level above it; one for every two bytes in a file longer than that.
inline constexpr size_t kMostYamlNodes = 50'000;
inline constexpr size_t kMostYamlKeys = 10'000;  // in one map
inline constexpr size_t kMostYamlDepth = 32;

}  // namespace greta::runner
