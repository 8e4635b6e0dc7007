#pragma once
// A spec unrolled: variants, attempts, cells. Pure: the same spec and the same resolved inputs give
// the same plan and the same identities.

#include <map>
#include <string>
#include <vector>

#include "contract/result.h"
#include "spec/spec.h"

namespace greta::runner {

struct Variant {
  size_t engine = 0;  // of Spec::engines
  std::string name;   // "GRETA_X=a,GRETA_Y=b" of the axes that vary; "default"
  std::map<std::string, std::string> axes;   // matrix point
  std::map<std::string, std::string> flags;  // all flags: spec's, overridden by the axes
  DecodeSettings decode;                     // an axis may name backend, numerics, kv_type, threads
};

struct Cell {
  std::string identity;            // SHA-256 over the canonical JSON of everything that counts
  std::string identity_json;       // that JSON
  size_t variant = 0, prompt = 0;  // indices
  int64_t repeat = 0;
};

// What the plan cannot know by itself; the runner resolves it first.
struct EngineInputs {
  int contract_version = 1;
  std::string build_key;  // hash of sources, argv, image recipe and packages; or of the binary
  std::string isa;        // that it will use
};
struct ResolvedInputs {
  std::vector<EngineInputs> engines;  // as in Spec::engines
  std::string device;                 // where they will run
  std::string model_sha256;
};

struct Plan {
  std::vector<Variant> variants;
  std::vector<Cell> cells;  // variant-major, then repeat, then prompt
  // Cells that one engine process serves: one a (variant, repeat), or one a cell (isolation:
  // request).
  std::vector<std::vector<size_t>> attempts;
};

// The matrix without prompts: used by lint and dry runs. Errors name an include/exclude that
// matches nothing, a variant listed twice, an empty matrix.
Result<std::vector<Variant>> expand_variants(const Spec& spec);
Result<Plan> make_plan(const Spec& spec, const ResolvedInputs& inputs);

}  // namespace greta::runner
