#pragma once
// Rows of random weights of every storable type, from a seed and the tensor's name alone.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/gguf.h"

namespace greta::engine {

int64_t block_elements(TensorType type);
int64_t stored_row_bytes(TensorType type, int64_t columns);

class RandomRows {
 public:
  // Weights are spread evenly around zero with the given standard deviation; quantised types have
  // every value of their quants and scales of up to the factor of two that K types share out.
  RandomRows(uint64_t seed, std::string_view name, TensorType type, int64_t columns,
             double deviation);
  void next(std::vector<std::byte>& row);
  void ones(std::vector<std::byte>& row) const;  // F32 only: norms

 private:
  uint64_t random();
  void fill(std::byte* to, int64_t bytes);
  void plain(std::vector<std::byte>& row);
  void block(std::byte* to);

  TensorType type_;
  int64_t columns_;
  double deviation_;
  uint64_t state_;
};

}  // namespace greta::engine
