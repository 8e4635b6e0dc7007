#pragma once
// The keys `engine` and `model`: which program runs, built from what, and which weights it reads.

#include "spec/spec.h"
#include "spec/spec_root.h"
#include "spec/yaml_node.h"

namespace greta::runner {

// Does the `engine` section (or null) describe an engine of its own?
OwnEngine own_engine(const YamlNode* engine);

// Fills spec.engine; needs spec.root. `engine` may be null: greta's own engine.
void read_engine(const YamlNode* engine, const Roots& roots, Spec& spec, Problems& problems);

// Fills spec.model_*; needs spec.root. A file that does not exist is no mistake here: the runner
// says so with every place that was looked at (spec.model_tried).
void read_model(const YamlNode& model, const Roots& roots, Spec& spec, Problems& problems);

}  // namespace greta::runner
