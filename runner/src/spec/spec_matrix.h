#pragma once
// The keys of a spec that say under which settings the engines run: decode, flags, env, secrets,
// matrix, include, exclude.

#include <string>
#include <vector>

#include "spec/spec.h"
#include "spec/yaml_node.h"

namespace greta::runner {

// The axis whose values are engines.
inline constexpr const char* kEngineAxis = "engine";
// Axes of the matrix that are parts of `decode`.
const std::vector<std::string>& decode_axes();

// What `decode.KEY` may be with greta's own engine; empty: any text.
const std::vector<std::string>& decode_choices(std::string_view key);

// Each fills its part of `spec` and reports what is wrong. All need the adapters of spec.engines:
// names and values of flags are checked against an adapter's own table here, against greta's by
// check_flags.
void read_decode(const YamlNode& node, Spec& spec, Problems& problems);
void read_flags(const YamlNode& node, Spec& spec, Problems& problems);
// Of one engine alone: `engines.NAME.flags`; needs spec.flags.
void read_engine_flags(const YamlNode& root, Spec& spec, Problems& problems);
void read_env(const YamlNode& node, Spec& spec, Problems& problems);
// Needs spec.env.
void read_secrets(const YamlNode& node, Spec& spec, Problems& problems);
void read_matrix(const YamlNode& node, Spec& spec, Problems& problems);
// `key` is include or exclude; needs spec.matrix.
void read_points(const YamlNode& node, const std::string& key,
                 std::vector<std::map<std::string, std::string>>& points, Spec& spec,
                 Problems& problems);

}  // namespace greta::runner
