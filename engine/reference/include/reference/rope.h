#pragma once
// RoPE from its definition, in double: GGUF `llama` models turn the pairs (2i, 2i + 1) of a head by
// the angle position · base^(-2i / head_dim) / factor_i; without factors they are 1.

#include <cstdint>
#include <span>
#include <vector>

namespace greta::reference {

class Rope {
 public:
  Rope(int64_t head_dim, double base, std::span<const float> factors = {});
  // in, out: head_dim elements of one head. `reach`, where given, gets |x0 cos| + |x1 sin| (and its
  // twin) for each element: what the rounding errors of a rotation are proportional to.
  void rotate(int64_t position, std::span<const double> in, std::span<double> out,
              std::span<double> reach = {}) const;

 private:
  std::vector<double> frequency_;  // head_dim / 2, radians a position
};

}  // namespace greta::reference
