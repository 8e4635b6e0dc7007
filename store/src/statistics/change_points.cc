// Where a series goes over to another level.

#include <algorithm>
#include <cmath>
#include <numeric>

#include "statistics/random.h"
#include "store/statistics.h"

namespace greta::store {
namespace {

constexpr size_t kShortestLevel = 3;
constexpr size_t kNear = 4;
constexpr int kOrders = 999;
constexpr uint64_t kOrderSeed = 2;

// Ranks from 1; equal values share the mean of theirs.
std::vector<double> ranks_of(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t i = 0; i < order.size();) {
    size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    const double rank = static_cast<double>(i + end + 1) / 2;
    for (; i < end; ++i) ranks[order[i]] = rank;
  }
  return ranks;
}

struct Split {
  size_t position = 0;
  double distance = 0;  // of the first part's rank sum from its mean, in standard deviations
};

Split best_split(const std::vector<double>& ranks) {
  const size_t n = ranks.size();
  const auto count = static_cast<double>(n);
  Split best;
  double sum = 0;
  for (size_t i = 1; i <= n - kShortestLevel; ++i) {
    sum += ranks[i - 1];
    if (i < kShortestLevel) continue;
    const auto first = static_cast<double>(i);
    const double mean = first * (count + 1) / 2;
    const double deviation = std::sqrt(first * (count - first) * (count + 1) / 12);
    const double distance = std::abs(sum - mean) / deviation;
    if (distance > best.distance) best = {.position = i, .distance = distance};
  }
  return best;
}

// The share of random orders whose best split is at least as far; above `limit` only that it is.
double chance_of(const Split& split, std::vector<double> ranks, Draw& draw, double limit) {
  const auto most = static_cast<int>(limit * (kOrders + 1));
  int as_far = 0;
  for (int i = 0; i < kOrders; ++i) {
    draw.shuffle(ranks);
    as_far += best_split(ranks).distance >= split.distance ? 1 : 0;
    if (as_far >= most) return 1;
  }
  return static_cast<double>(as_far + 1) / (kOrders + 1);
}

// Ranks lean towards the middle of a segment: the border goes where the values near it are on the
// side of their own level. Each says which, by at most one step, so that an outlier is no more than
// one voice.
size_t settled(const std::vector<double>& values, size_t split) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(split);
  const double before = median({values.begin(), middle});
  const double after = median({middle, values.end()});
  if (before == after) return split;
  const size_t first = std::max(split, kShortestLevel + kNear) - kNear;
  const size_t last = std::min(split + kNear, values.size() - kShortestLevel);
  size_t best = first;
  double later = 0, least = 0;  // how far the values from `first` on speak for the later level
  for (size_t at = first; at < last; ++at) {
    later += std::clamp((values[at] - (before + after) / 2) / (after - before), -1.0, 1.0);
    if (later >= least) continue;
    least = later;
    best = at + 1;
  }
  return best;
}

void search(const std::vector<double>& series, size_t begin, size_t end, Draw& draw,
            std::vector<ChangePoint>& found) {
  if (end - begin < 2 * kShortestLevel) return;
  const auto at = [&](size_t i) { return series.begin() + static_cast<std::ptrdiff_t>(i); };
  const std::vector<double> values(at(begin), at(end));
  std::vector<double> ranks = ranks_of(values);
  const Split split = best_split(ranks);
  if (split.distance == 0) return;
  const double p = chance_of(split, std::move(ranks), draw, kChangeSignificance);
  if (p >= kChangeSignificance) return;
  const size_t position = begin + settled(values, split.position);
  search(series, begin, position, draw, found);
  found.push_back({.position = position, .p = p});
  search(series, position, end, draw, found);
}

}  // namespace

std::vector<ChangePoint> change_points(const std::vector<double>& series) {
  std::vector<ChangePoint> found;
  Draw draw(kOrderSeed);
  search(series, 0, series.size(), draw, found);
  const auto level = [&](size_t begin, size_t end) {
    return median({series.begin() + static_cast<std::ptrdiff_t>(begin),
                   series.begin() + static_cast<std::ptrdiff_t>(end)});
  };
  for (size_t i = 0; i < found.size(); ++i) {
    const size_t begin = i == 0 ? 0 : found[i - 1].position;
    const size_t end = i + 1 == found.size() ? series.size() : found[i + 1].position;
    found[i].before = level(begin, found[i].position);
    found[i].after = level(found[i].position, end);
  }
  return found;
}

}  // namespace greta::store
