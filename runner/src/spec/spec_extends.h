#pragma once
// `extends:` one file, or a list of files where later ones win over earlier ones and the spec
// itself over all. Maps merge key by key; lists and scalars replace; a key without a value (`~`)
// removes the base's key. Every node keeps the place of the file that it came from.

#include <filesystem>
#include <optional>
#include <string>

#include "spec/yaml_node.h"

namespace greta::runner {

struct SpecTree {
  YamlNode root;          // merged; `extends` and `schema` are gone
  std::string text;       // of the spec itself, as read
  bool complete = false;  // every file could be read and is a map
};

// `shown` is the path to print; `text`, where there is one, is read instead of the file. Mistakes
// (unreadable, malformed, no or an unknown `schema`, a circle of files) go to `problems`.
SpecTree load_spec_tree(const std::filesystem::path& file, const std::string& shown,
                        const std::optional<std::string>& text, Problems& problems);

// `over` wins. Exposed for its tests.
YamlNode merge_nodes(YamlNode base, YamlNode over);

}  // namespace greta::runner
