#pragma once
// Statistics of samples that are noisy by nature (timings). Every answer is the same for the same
// samples: what is drawn at random has a fixed seed. Numbers that are not finite are no samples:
// callers leave them out.

#include <cstddef>
#include <optional>
#include <vector>

namespace greta::store {

// Fewer samples than this at a side say nothing of their spread, and none is claimed.
inline constexpr size_t kFewestSamples = 5;

double median(std::vector<double> samples);  // of at least one

struct Interval {
  double low = 0, high = 0;
};
// The 95 % interval of the samples' median, by the percentile bootstrap (2000 resamples). Nothing
// for fewer than kFewestSamples.
std::optional<Interval> bootstrap_interval(const std::vector<double>& samples);

struct SampleComparison {
  double a = 0, b = 0;  // medians
  // Of median(b) - median(a), 95 %, both sides resampled; nothing where a side has fewer than
  // kFewestSamples.
  std::optional<Interval> difference;
  // Of median(b) / median(a), from the same resamples; nothing where a sample is not positive.
  std::optional<Interval> ratio;
  // The interval is there and does not hold 0. Without an interval nothing is claimed.
  bool differs() const { return difference && (difference->low > 0 || difference->high < 0); }
};
SampleComparison compare_samples(const std::vector<double>& a, const std::vector<double>& b);

// A place where a series goes over to another level.
struct ChangePoint {
  size_t position = 0;           // index of the first value of the new level
  double p = 0;                  // probability of so clear a split in a series without one
  double before = 0, after = 0;  // medians of the levels at its two sides
};
// The chance of finding a change in a series that has none.
inline constexpr double kChangeSignificance = 0.01;
// Binary segmentation, as E-divisive does it: the best split of a segment is where the standardised
// rank sum (Mann-Whitney) of its first part is farthest from what chance gives, and it counts if
// fewer than kChangeSignificance of 999 random orders of the segment have one as far; the
// border is moved by up to four values, to where those near it are on the side of their level's
// median. Then each part is looked at in the same way. A level has at least three values. Ranks, so
// that one outlier is no change. In order of position.
std::vector<ChangePoint> change_points(const std::vector<double>& series);

}  // namespace greta::store
