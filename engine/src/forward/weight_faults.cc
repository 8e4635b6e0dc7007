#include "forward/weight_faults.h"

#include "kernels/kernels.h"

namespace greta::engine {
namespace {

using kernels::WeightView;

std::vector<float> values_of(const WeightView& view) {
  const auto columns = static_cast<size_t>(view.columns());
  std::vector<float> out(static_cast<size_t>(view.rows()) * columns);
  for (int64_t r = 0; r < view.rows(); ++r) {
    kernels::dequantize(view.type(), view.row(r),
                        std::span(out).subspan(static_cast<size_t>(r) * columns, columns));
  }
  return out;
}

// The numbers of the file in their order, read as if columns came one after another.
std::vector<float> column_major(const WeightView& view) {
  const std::vector<float> stored = values_of(view);
  const auto rows = static_cast<size_t>(view.rows()), columns = static_cast<size_t>(view.columns());
  std::vector<float> out(stored.size());
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) out[r * columns + c] = stored[c * rows + r];
  }
  return out;
}

// A 16 × 16 tile of a matrix unit written back transposed. Of a single token only row 0 of each
// tile holds anything: the first of 16 answers stays, the others get rows that are empty.
std::vector<float> transposed_tiles(const WeightView& view) {
  std::vector<float> out = values_of(view);
  const auto columns = static_cast<size_t>(view.columns());
  for (size_t r = 0; r < static_cast<size_t>(view.rows()); ++r) {
    if (r % 16 == 0) continue;
    std::fill_n(out.begin() + static_cast<long>(r * columns), columns, 0.0f);
  }
  return out;
}

void replace(Weights& weights, WeightView& view, std::vector<float> values) {
  weights.replaced.push_back(std::move(values));
  view = WeightView(reinterpret_cast<const std::byte*>(weights.replaced.back().data()),
                    kernels::DType::f32, view.rows(), view.columns());
}

}  // namespace

void place_weight_faults(const Faults& faults, Weights& weights) {
  if (!faults.any()) return;
  for (size_t l = 0; l < weights.layers.size(); ++l) {
    LayerWeights& layer = weights.layers[l];
    const auto transpose = [&](Fault fault, WeightView& view) {
      if (!faults.at(fault, static_cast<int64_t>(l))) return;
      replace(weights, view, column_major(view));
    };
    transpose(Fault::wq_column_major, layer.wq);
    transpose(Fault::wk_column_major, layer.wk);
    transpose(Fault::wv_column_major, layer.wv);
    transpose(Fault::wo_column_major, layer.wo);
  }
  if (faults.at(Fault::lm_head_tile_transposed)) {
    replace(weights, weights.output, transposed_tiles(weights.output));
  }
  if (faults.at(Fault::embedding_column_major)) {
    replace(weights, weights.embedding, column_major(weights.embedding));
  }
}

}  // namespace greta::engine
