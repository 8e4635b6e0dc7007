#pragma once
// `vars:` declares names with defaults; `${NAME}` in any value stands for them, `$${` for a plain
// `${`. Keys, `vars` itself and `extends` are not substituted.

#include <map>
#include <string>
#include <vector>

#include "spec/yaml_node.h"

namespace greta::runner {

// Replaces in place and takes `vars` out of the tree. `overrides` come from the command line.
// Mistakes: a variable or override that is not declared (nearest name), `${` without an end, a
// default that is no text. `warnings`: a variable that nothing uses.
void apply_vars(YamlNode& root, const std::map<std::string, std::string>& overrides,
                Problems& problems, std::vector<std::string>& warnings);

}  // namespace greta::runner
