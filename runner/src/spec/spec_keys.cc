#include "spec/spec_keys.h"

#include <algorithm>
#include <cassert>

namespace greta::runner {

const std::vector<KeySection>& key_sections() {
  static const std::vector<KeySection> kSections = {
      {"spec", {"schema",         "extends",       "vars",    "milestone", "title",      "question",
                "summary",        "initial_state", "changes", "impact",    "conclusion", "next",
                "why_it_matters", "baseline",      "engine",  "engines",   "model",      "prompts",
                "decode",         "isolation",     "flags",   "env",       "secrets",    "matrix",
                "include",        "exclude",       "repeat",  "timeout",   "limits",     "expect"}},
      {"prose", {"en", "es"}},
      {"engine",
       {"repo", "commit", "image", "base", "build", "artifact", "binary", "program", "adapter"}},
      {"engines",
       {"repo", "commit", "image", "base", "build", "artifact", "binary", "program", "adapter",
        "flags"}},
      {"model", {"file", "sha256"}},
      {"prompt", {"id", "text", "file", "tokens", "literal_escapes", "note"}},
      {"decode", {"max_tokens", "backend", "numerics", "kv_type", "threads"}},
      {"limits", {"memory", "pids", "output"}},
      {"expect",
       {"id", "metric", "agg", "per", "where", "le", "lt", "ge", "gt", "eq", "ne", "ratio_to",
        "within_floor_of", "all", "distinct", "across", "sql"}},
      {"prompts file", {"schema", "prompts"}},
      {"adapter",
       {"schema", "name", "image", "program", "argv", "env", "outputs", "flags", "any_flags",
        "requests"}},
      {"output", {"glob", "kind", "optional"}},
  };
  return kSections;
}

const std::vector<std::string>& keys_of(std::string_view section) {
  const auto& sections = key_sections();
  const auto found = std::find_if(sections.begin(), sections.end(),
                                  [&](const KeySection& s) { return s.name == section; });
  assert(found != sections.end());
  return found->keys;
}

const std::vector<std::string>& prose_keys() {
  static const std::vector<std::string> kKeys = {"question", "summary",       "initial_state",
                                                 "changes",  "impact",        "conclusion",
                                                 "next",     "why_it_matters"};
  return kKeys;
}

}  // namespace greta::runner
