#pragma once
// A matrix as the backend reads it against the bytes of the file, and fp64 products with it.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "contract/json_line.h"
#include "forward/backend.h"
#include "model/gguf.h"

namespace greta::reference {

// Every element, bit for bit: reading a format is exact.
struct WeightCheck {
  Hash64 hash, file_hash;  // XXH3-64 over the hashes of the rows, as fp32
  int64_t mismatches = 0;
  double max_diff = 0;
  int64_t worst_row = -1, worst_column = -1;  // of the largest difference; -1: none
  double worst_value = 0, worst_ref = 0;
  std::string layout_best = "row";  // "col": what is read fits the file better column by column
};
using ReadRow = std::function<void(int64_t row, std::span<float> out)>;
WeightCheck check_weight(const engine::Tensor& tensor, const ReadRow& read, int64_t threads);

// Does `got`, row `row` of a matrix, fit the file better if columns lie one after another?
std::string layout_of(const engine::Tensor& tensor, int64_t row, std::span<const float> got);

// W·x in fp64 for several x (each `columns` fp32 numbers), and how far fp32 sums in any order may
// be from it: g(columns + 4)·Σ|w x| (attention.h; 4: the product, and a scale that multiplies a
// block's sum instead of its elements), element by element. Where each 32 of x are rounded to eight
// bits first, at a step of s = max|x|/127, more comes on top: Σ|w| s/2 at most, and as the errors
// are spread evenly over half a step to either side, no more than 8·√(Σ w² s²/12) (as in g).
struct Product {
  std::vector<double> out, bound;  // rows of the matrix
};
std::vector<Product> multiply(const engine::Tensor& tensor,
                              const std::vector<std::span<const float>>& x, bool eight_bits,
                              int64_t threads);

}  // namespace greta::reference
