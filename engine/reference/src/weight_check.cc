#include "weight_check.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>

#include "reference/attention.h"
#include "reference/numbers.h"
#include "share.h"

namespace greta::reference {
namespace {

using engine::Tensor;

// Rows whose layout is looked at where a matrix differs.
constexpr int64_t kLayoutRows = 16;
constexpr double kSmallest = 0x1p-126;  // a product below it may be flushed to zero

uint64_t hash(std::span<const float> values) {
  return XXH3_64bits(values.data(), values.size_bytes());
}
Hash64 hash_of_rows(const std::vector<uint64_t>& rows) {
  return {XXH3_64bits(rows.data(), rows.size() * sizeof rows[0])};
}

void compare_row(int64_t row, std::span<const float> got, std::span<const float> want,
                 WeightCheck& check) {
  if (std::memcmp(got.data(), want.data(), got.size_bytes()) == 0) return;
  for (size_t c = 0; c < got.size(); ++c) {
    const double difference = std::abs(static_cast<double>(got[c]) - static_cast<double>(want[c]));
    if (difference == 0) continue;
    ++check.mismatches;
    // The first NaN is the worst element whatever comes after it.
    if (difference <= check.max_diff || std::isnan(check.max_diff)) continue;
    check.max_diff = difference;
    check.worst_row = row;
    check.worst_column = static_cast<int64_t>(c);
    check.worst_value = got[c];
    check.worst_ref = want[c];
  }
}

void join(const WeightCheck& part, WeightCheck& whole) {
  whole.mismatches += part.mismatches;
  if (part.worst_row < 0 || std::isnan(whole.max_diff)) return;
  if (part.max_diff <= whole.max_diff) return;
  whole.max_diff = part.max_diff;
  whole.worst_row = part.worst_row;
  whole.worst_column = part.worst_column;
  whole.worst_value = part.worst_value;
  whole.worst_ref = part.worst_ref;
}

constexpr size_t kSharing = 32;  // elements of x that share a step

std::vector<double> steps_of(std::span<const float> x) {
  std::vector<double> steps;
  for (size_t first = 0; first < x.size(); first += kSharing) {
    float largest = 0;
    for (const float value : x.subspan(first, std::min(kSharing, x.size() - first))) {
      largest = std::max(largest, std::abs(value));
    }
    steps.push_back(largest / 127.0);
  }
  return steps;
}

// What rounding x to multiples of its steps may change of w·x; none: it is not rounded.
double rounding(std::span<const double> w, std::span<const double> steps) {
  double largest = 0, variance = 0;
  for (size_t block = 0; block < steps.size(); ++block) {
    for (const double weight :
         w.subspan(block * kSharing, std::min(kSharing, w.size() - block * kSharing))) {
      largest += std::abs(weight) * steps[block] / 2;
      variance += weight * weight * steps[block] * steps[block] / 12;
    }
  }
  return std::min(largest, 8 * std::sqrt(variance));
}

}  // namespace

std::string layout_of(const Tensor& tensor, int64_t row, std::span<const float> got) {
  double as_row = 0, as_column = 0;
  for (size_t c = 0; c < got.size(); ++c) {
    const auto column = static_cast<int64_t>(c);
    as_row += std::abs(got[c] - read_element(tensor, row * tensor.columns() + column));
    as_column += std::abs(got[c] - read_element(tensor, column * tensor.rows() + row));
  }
  return as_column < as_row ? "col" : "row";
}

WeightCheck check_weight(const Tensor& tensor, const ReadRow& read, int64_t threads) {
  const auto columns = static_cast<size_t>(tensor.columns());
  std::vector<uint64_t> got_hashes(static_cast<size_t>(tensor.rows())), file_hashes = got_hashes;
  WeightCheck check;
  std::mutex joining;
  share(threads, tensor.rows(), [&](int64_t first, int64_t last) {
    std::vector<float> got(columns), want(columns);
    std::vector<double> exact(columns);
    WeightCheck part;
    for (int64_t row = first; row < last; ++row) {
      read(row, got);
      read_row(tensor, row, exact);
      for (size_t c = 0; c < columns; ++c) want[c] = static_cast<float>(exact[c]);
      got_hashes[static_cast<size_t>(row)] = hash(got);
      file_hashes[static_cast<size_t>(row)] = hash(want);
      compare_row(row, got, want, part);
    }
    const std::scoped_lock lock(joining);
    join(part, check);
  });
  check.hash = hash_of_rows(got_hashes);
  check.file_hash = hash_of_rows(file_hashes);
  if (check.mismatches == 0) return check;
  int64_t columns_fit = 0, rows_looked_at = 0;
  std::vector<float> got(columns);
  const int64_t step = std::max<int64_t>(1, tensor.rows() / kLayoutRows);
  for (int64_t row = 0; row < tensor.rows(); row += step, ++rows_looked_at) {
    read(row, got);
    if (layout_of(tensor, row, got) == "col") ++columns_fit;
  }
  if (2 * columns_fit > rows_looked_at) check.layout_best = "col";
  return check;
}

std::vector<Product> multiply(const Tensor& tensor, const std::vector<std::span<const float>>& x,
                              bool eight_bits, int64_t threads) {
  const auto rows = static_cast<size_t>(tensor.rows());
  const auto columns = static_cast<size_t>(tensor.columns());
  const double error = sum_error(tensor.columns() + 4);
  std::vector<std::vector<double>> steps;
  for (const auto row : x) steps.push_back(eight_bits ? steps_of(row) : std::vector<double>());
  std::vector<Product> products(x.size(), {std::vector<double>(rows), std::vector<double>(rows)});
  share(threads, tensor.rows(), [&](int64_t first, int64_t last) {
    std::vector<double> w(columns);
    for (auto o = static_cast<size_t>(first); o < static_cast<size_t>(last); ++o) {
      read_row(tensor, static_cast<int64_t>(o), w);
      for (size_t t = 0; t < x.size(); ++t) {
        double sum = 0, magnitude = 0;
        for (size_t c = 0; c < columns; ++c) {
          const double product = w[c] * static_cast<double>(x[t][c]);
          sum += product;
          magnitude += std::abs(product);
        }
        products[t].out[o] = sum;
        products[t].bound[o] = error * magnitude + kSmallest + rounding(w, steps[t]);
      }
    }
  });
  return products;
}

}  // namespace greta::reference
