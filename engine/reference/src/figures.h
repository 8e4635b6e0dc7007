#pragma once
// What the records of the fp64 traces have in common.

#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "contract/json_line.h"
#include "forward/probe.h"
#include "reference/attention.h"

namespace greta::reference {

inline Hash64 hash_of(std::span<const float> values) {
  return {XXH3_64bits(values.data(), values.size_bytes())};
}

inline std::vector<float> to_float(std::span<const double> values) {
  return {values.begin(), values.end()};
}

// The first `count` elements, as a record shows them.
template <class T>
std::vector<double> first_of(std::span<const T> values, int64_t count) {
  const auto shown = std::min(values.size(), static_cast<size_t>(count));
  return {values.begin(), values.begin() + static_cast<long>(shown)};
}

// Row `row` of (rows, columns) values.
inline std::span<const float> row_of(std::span<const float> values, int64_t row, int64_t columns) {
  return values.subspan(static_cast<size_t>(row * columns), static_cast<size_t>(columns));
}

template <class Record>
void fill_place(const engine::Pass& pass, int64_t row, Record& record) {
  record.phase = pass.phase();
  record.step = pass.step;
  record.pos_id = pass.pos0 + row;
}

template <class Record>
void fill_comparison(const HeadComparison& compared, Record& record) {
  record.rel_l2 = compared.rel_l2;
  record.bound = compared.bound;
  record.over_bound = compared.over_bound;
  record.ref_rms = compared.ref_rms;
  record.mae = compared.mae;
  record.max_diff = compared.max_diff;
  record.worst_index = compared.worst_dim;
  record.worst_value = compared.worst_got;
  record.worst_ref = compared.worst_ref;
}

}  // namespace greta::reference
