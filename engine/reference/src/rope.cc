#include "reference/rope.h"

#include <cmath>

namespace greta::reference {

Rope::Rope(int64_t head_dim, double base, std::span<const float> factors) {
  for (int64_t i = 0; i < head_dim; i += 2) {
    frequency_.push_back(std::pow(base, -static_cast<double>(i) / static_cast<double>(head_dim)));
    if (!factors.empty()) frequency_.back() /= static_cast<double>(factors[frequency_.size() - 1]);
  }
}

void Rope::rotate(int64_t position, std::span<const double> in, std::span<double> out,
                  std::span<double> reach) const {
  for (size_t i = 0; i < frequency_.size(); ++i) {
    const double angle = static_cast<double>(position) * frequency_[i];
    const double cosine = std::cos(angle), sine = std::sin(angle);
    const double x0 = in[2 * i], x1 = in[2 * i + 1];
    out[2 * i] = x0 * cosine - x1 * sine;
    out[2 * i + 1] = x0 * sine + x1 * cosine;
    if (!reach.empty()) {
      reach[2 * i] = std::abs(x0 * cosine) + std::abs(x1 * sine);
      reach[2 * i + 1] = std::abs(x0 * sine) + std::abs(x1 * cosine);
    }
  }
}

}  // namespace greta::reference
