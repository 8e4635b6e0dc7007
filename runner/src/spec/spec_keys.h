#pragma once
// Every key that the files of experiments/ know, section by section. The reader refuses what is not
// here; tests hold the JSON Schemas and experiments/README.md to the same list.

#include <string>
#include <string_view>
#include <vector>

namespace greta::runner {

struct KeySection {
  std::string name;               // "spec", "engine", …
  std::vector<std::string> keys;  // in the order of the reference page
};

const std::vector<KeySection>& key_sections();
const std::vector<std::string>& keys_of(std::string_view section);  // asserts that it exists

// Prose of the report: top-level keys whose value is a text or {en, es}. `title` is kept apart.
const std::vector<std::string>& prose_keys();

}  // namespace greta::runner
