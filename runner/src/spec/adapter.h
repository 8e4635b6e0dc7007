#pragma once
// Adapter files: how to start an engine that does not speak greta's contract, and what of its
// output is a record. The built-in adapter `greta` is the same thing written down for greta-infer.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "contract/result.h"
#include "spec/spec.h"
#include "spec/yaml_node.h"

namespace greta::runner {

Adapter builtin_adapter();

// Reads and checks an adapter file; errors as in load_spec. `shown` is the path to print.
Result<Adapter> load_adapter(const std::filesystem::path& file, const std::string& shown);

// The same of a map that stands elsewhere; `path` is where.
Adapter adapter_of(const YamlNode& node, const std::string& path, Problems& problems);

// The names that may stand in {braces} of argv and env, `flags.NAME` apart.
const std::vector<std::string>& placeholder_names();

// Does the template mention {name}? (`flags.` names too.)
bool mentions(const Adapter& adapter, std::string_view name);

// Replaces every {name} by values[name]; "{{" and "}}" are literal braces. {flags.NAME} of a flag
// that is not set is the empty text, and an argument that is nothing else is left out altogether.
// Errors: a placeholder without a value (the caller did not fill it).
Result<std::string> fill_template(std::string_view text,
                                  const std::map<std::string, std::string>& values);
Result<std::vector<std::string>> fill_argv(const Adapter& adapter,
                                           const std::map<std::string, std::string>& values);

}  // namespace greta::runner
