#pragma once
// Small random models for tests: weights that every tensor type holds exactly (a whole number of at
// most 127 times a power of two), so that F32, F16, BF16 and Q8_0 files of one seed are the same
// model.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/gguf.h"
#include "model/model_config.h"

namespace greta::reference {

using Matrix = std::vector<std::vector<double>>;  // [row][column]

struct RandomModel {
  engine::ModelConfig config;
  std::map<std::string, Matrix> weights;  // by tensor name

  // The bytes of a GGUF file without metadata. Q8_0 needs columns in multiples of 32; vectors are
  // F32.
  std::vector<std::byte> file(engine::TensorType type = engine::TensorType::f32) const;
};

RandomModel random_model(const engine::ModelConfig& config, uint32_t seed);

}  // namespace greta::reference
