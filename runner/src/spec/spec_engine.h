#pragma once
// The keys `engine`, `engines` and `model`: which program runs, built from what, and which weights
// it reads.

#include "spec/spec.h"
#include "spec/spec_root.h"
#include "spec/yaml_node.h"

namespace greta::runner {

// Does the spec describe an engine of its own, under `engine` or `engines`?
OwnEngine own_engines(const YamlNode& root);

// Fills spec.engines with at least one; needs spec.root. Without `engine` greta's own engine. With
// an axis `engine` in the matrix, one for each of its values: a name under `engines`, `greta-infer`
// (the engine of the key `engine`), or an adapter that names its `program`. Their flags are read
// later (spec_matrix.h).
void read_engines(const YamlNode& root, const Roots& roots, Spec& spec, Problems& problems);

// Fills spec.model_*; needs spec.root. A file that does not exist is no mistake here: the runner
// says so with every place that was looked at (spec.model_tried).
void read_model(const YamlNode& model, const Roots& roots, Spec& spec, Problems& problems);

}  // namespace greta::runner
