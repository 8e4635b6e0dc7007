#pragma once
// A spec that needs no other file: what it extends is merged, variables are filled in, prompts and
// adapters stand in it. A run keeps it, so that it can be run again when the files have moved on.

#include <nlohmann/json_fwd.hpp>

#include "spec/spec.h"
#include "spec/yaml_node.h"

namespace greta::runner {

// Every scalar as its text: what is read from it means the same as the YAML did. Keys keep their
// order: that of axes is the order of the variants.
nlohmann::ordered_json texts_of(const YamlNode& node);

// `root` is the merged tree that `spec` was read from. Paths of programs are absolute; those of
// images and repositories stay as written where they start at the root.
nlohmann::ordered_json flat_spec(const YamlNode& root, const Spec& spec);

}  // namespace greta::runner
