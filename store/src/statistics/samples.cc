// Medians, their bootstrap intervals, and the comparison of two sets of samples.

#include <algorithm>
#include <array>

#include "statistics/random.h"
#include "store/statistics.h"

namespace greta::store {
namespace {

constexpr size_t kResamples = 2000;
constexpr uint64_t kBootstrapSeed = 1;
constexpr double kTail = 0.025;  // at each side of a 95 % interval

// Of a vector that may be reordered.
double median_in_place(std::vector<double>& values) {
  const size_t half = values.size() / 2;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(half);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

double median_of_resample(const std::vector<double>& samples, Draw& draw,
                          std::vector<double>& scratch) {
  scratch.resize(samples.size());
  for (double& value : scratch) value = samples[draw.below(samples.size())];
  return median_in_place(scratch);
}

Interval middle_of(std::array<double, kResamples>& values) {
  std::sort(values.begin(), values.end());
  constexpr auto kCut = static_cast<size_t>(kTail * static_cast<double>(kResamples));
  return {.low = values[kCut], .high = values[kResamples - 1 - kCut]};
}

}  // namespace

double median(std::vector<double> samples) { return median_in_place(samples); }

std::optional<Interval> bootstrap_interval(const std::vector<double>& samples) {
  if (samples.size() < kFewestSamples) return std::nullopt;
  Draw draw(kBootstrapSeed);
  std::vector<double> scratch;
  std::array<double, kResamples> medians{};
  for (double& value : medians) value = median_of_resample(samples, draw, scratch);
  return middle_of(medians);
}

SampleComparison compare_samples(const std::vector<double>& a, const std::vector<double>& b) {
  SampleComparison out{.a = median(a), .b = median(b), .difference = {}, .ratio = {}};
  if (a.size() < kFewestSamples || b.size() < kFewestSamples) return out;
  Draw draw(kBootstrapSeed);
  std::vector<double> scratch;
  std::array<double, kResamples> differences{}, ratios{};
  for (size_t i = 0; i < kResamples; ++i) {
    const double of_b = median_of_resample(b, draw, scratch);
    const double of_a = median_of_resample(a, draw, scratch);
    differences[i] = of_b - of_a;
    ratios[i] = of_b / of_a;
  }
  out.difference = middle_of(differences);
  const auto positive = [](double value) { return value > 0; };
  if (std::all_of(a.begin(), a.end(), positive) && std::all_of(b.begin(), b.end(), positive))
    out.ratio = middle_of(ratios);
  return out;
}

}  // namespace greta::store
