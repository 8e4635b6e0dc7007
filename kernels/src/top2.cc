#include "kernels/kernels.h"

namespace greta::kernels {

Top2 top2(std::span<const float> values) {
  Top2 top;
  for (size_t i = 0; i < values.size(); ++i) {
    const float value = values[i];
    if (value != value) continue;  // NaN
    // "Greater" alone keeps the smaller id among equals.
    if (top.id[0] < 0 || value > top.value[0]) {
      top.id[1] = top.id[0];
      top.value[1] = top.value[0];
      top.id[0] = static_cast<int64_t>(i);
      top.value[0] = value;
    } else if (top.id[1] < 0 || value > top.value[1]) {
      top.id[1] = static_cast<int64_t>(i);
      top.value[1] = value;
    }
  }
  return top;
}

}  // namespace greta::kernels
