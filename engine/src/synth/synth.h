#pragma once
// Made-up models of real shapes: deterministic random weights of any type, named by a seed, so that
// a size can be run where its real weights cannot be had. What they say is noise; what they cost,
// and how their numbers behave, is that of the shape. The tokenizer is byte-level BPE without
// merges.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "contract/result.h"
#include "model/model_config.h"

namespace greta::engine {

struct SynthShape {
  std::string_view name, doc;
  int64_t layers, dim, heads, kv_heads, head_dim, ffn, vocab, context;
  float rope_base;
  bool tied_embeddings;
  // Llama 3.1's scaling of slow frequencies (factor, with low and high factor 1 and 4 around the
  // original context of 8192); 0: none.
  float rope_scaling;
};
std::span<const SynthShape> synth_shapes();

struct SynthOptions {
  std::string shape = "llama3-1b";
  std::string type = "Q8_0";  // F32, F16, BF16, Q8_0, Q4_0, Q5_0, Q4_K, Q5_K, Q6_K, Q4_K_M, Q5_K_M
  uint64_t seed = 1;
  std::optional<int64_t> layers, vocab, context;  // instead of the shape's
};
std::span<const std::string_view> synth_types();

// Writes the model. `progress` hears the bytes written and the bytes in all. The same options give
// the same bytes everywhere. Errors: an unknown shape or type (with the nearest), a type whose
// blocks do not divide the columns, the disk.
Result<> write_synthetic_model(const SynthOptions& options, const std::filesystem::path& path,
                               const std::function<void(int64_t, int64_t)>& progress = {});

}  // namespace greta::engine
