#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

#include "plot/chart.h"

namespace greta::runner {
namespace {

constexpr double kDecades = 3;  // more than these: a logarithmic axis
constexpr int kMostTicks = 6;
constexpr double kSlack = 1e-9;  // 1.2 / 0.2 is a little less than 6

// 1, 2 or 5 times a power of ten, at least `least`.
double round_step(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= least * (1 - kSlack)) return factor * power;
  return 10 * power;
}

std::vector<double> finite_values(const Chart& chart) {
  std::vector<double> out;
  const auto add = [&](double value) {
    if (std::isfinite(value)) out.push_back(value);
  };
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& point : series.points) {
      add(point.value);
      if (point.low) add(*point.low);
      if (point.high) add(*point.high);
    }
  }
  return out;
}

Scale logarithmic(double low, double high) {
  const int first = static_cast<int>(std::floor(std::log10(low) + kSlack));
  const int last = static_cast<int>(std::ceil(std::log10(high) - kSlack));
  const int step = (last - first + kMostTicks - 1) / kMostTicks;
  Scale scale{
      .low = std::pow(10, first), .high = std::pow(10, last), .logarithmic = true, .ticks = {}};
  for (int power = first; power <= last; power += step) scale.ticks.push_back(std::pow(10, power));
  return scale;
}

Scale linear(double low, double high) {
  if (low == high) {  // one level: in the middle of something
    const double half = low == 0 ? 1 : std::abs(low) / 2;
    low -= half;
    high += half;
  }
  const double step = round_step(high / (kMostTicks - 1) - low / (kMostTicks - 1));
  const double first = std::floor(low / step + kSlack), last = std::ceil(high / step - kSlack);
  constexpr double kMost = std::numeric_limits<double>::max();
  const auto at = [&](double steps) { return std::clamp(steps * step, -kMost, kMost); };
  Scale scale{.low = at(first), .high = at(last), .logarithmic = false, .ticks = {}};
  for (double tick = first; tick <= last; ++tick) scale.ticks.push_back(at(tick));
  return scale;
}

}  // namespace

double Scale::part(double value) const {
  const double part =
      logarithmic ? (std::log10(value) - std::log10(low)) / (std::log10(high) - std::log10(low))
                  : (value / 2 - low / 2) / (high / 2 - low / 2);  // halves: no overflow
  return std::clamp(part, 0.0, 1.0);
}

Scale scale_of(const Chart& chart) {
  const auto values = finite_values(chart);
  if (values.empty()) return {.low = 0, .high = 1, .logarithmic = false, .ticks = {}};
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const bool wide = *least > 0 && std::log10(*most) - std::log10(*least) > kDecades;
  return wide ? logarithmic(*least, *most) : linear(*least, *most);
}

std::string tick_text(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", value == 0 ? 0.0 : value);  // no -0
  return text.data();
}

}  // namespace greta::runner
