#include "trace/equivalence.h"

#include <cstring>
#include <tuple>

#include "contract/records.gen.h"
#include "kernels/kernels.h"
#include "trace/tensor_stats.h"

namespace greta::engine {
namespace {

using Key = RowCapture::Key;
using Row = RowCapture::Row;

// Outside the layers: the embedding comes before them, norm and logits after.
int64_t place_of_layer(const Key& key) {
  if (key.layer >= 0) return key.layer;
  return key.point == Point::embed_out ? -1 : INT64_MAX;
}

std::string text(const Key& key) {
  return to_string(key.point) + " of layer " + std::to_string(key.layer) + " at position " +
         std::to_string(key.position);
}

// Bitwise: two NaNs of the same bits are one result.
bool same(const Row& a, const Row& b) {
  return a.values.size() == b.values.size() &&
         std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(float)) == 0;
}

Difference between(const Row& prefill, const Row& decode) {
  Difference out = difference_of(decode.values, prefill.values);
  if (same(prefill, decode)) out.rel_l2 = out.max_diff = out.mae = 0;
  return out;
}

Result<const Row*> partner(const std::map<Key, Row>& rows, const Key& key, const Row& of) {
  const auto found = rows.find(key);
  if (found == rows.end()) {
    return fail(EngineExit::numeric, "prefill against decode: decode showed no " + text(key));
  }
  if (found->second.token != of.token || found->second.values.size() != of.values.size()) {
    return fail(EngineExit::numeric, "prefill against decode: " + text(key) + " belongs to token " +
                                         std::to_string(of.token) + " in the prefill, " +
                                         std::to_string(found->second.token) + " in decode");
  }
  return &found->second;
}

record::HiddenEquiv hidden_equiv(const Key& key, const Row& prefill, const Row& decode,
                                 double bound) {
  const Difference difference = between(prefill, decode);
  record::HiddenEquiv record;
  record.position = key.position;
  record.layer = key.layer;
  record.point = to_string(key.point);
  record.token_id = prefill.token;
  record.elements = static_cast<int64_t>(prefill.values.size());
  record.rel_l2 = difference.rel_l2;
  record.bound = bound;
  record.mae = difference.mae;
  record.max_diff = difference.max_diff;
  record.ref_rms = difference.ref_rms;
  record.worst_index = difference.worst_index;
  record.worst_value = difference.worst_value;
  record.worst_ref = difference.worst_ref;
  record.bitwise_equal = same(prefill, decode);
  record.prefill_hash = hash_of(prefill.values);
  record.decode_hash = hash_of(decode.values);
  return record;
}

void fill_logits(const Row& prefill, const Row& decode, record::PrefillDecodeDelta& record) {
  record.logits_rel_l2 = between(prefill, decode).rel_l2;
  record.logits_max_diff = between(prefill, decode).max_diff;
  record.prefill_logits_hash = hash_of(prefill.values);
  record.decode_logits_hash = hash_of(decode.values);
  const kernels::Top2 a = kernels::top2(prefill.values), b = kernels::top2(decode.values);
  record.prefill_top1 = a.id[0];
  record.decode_top1 = b.id[0];
  record.prefill_gap = static_cast<double>(a.value[0]) - static_cast<double>(a.value[1]);
  record.decode_gap = static_cast<double>(b.value[0]) - static_cast<double>(b.value[1]);
  record.top1_equal = a.id[0] == b.id[0];
}

void fill_delta(const Key& key, const Row& prefill, const Row& decode, int64_t last_layer,
                record::PrefillDecodeDelta& record) {
  record.position = key.position;
  record.token_id = prefill.token;
  ++record.tensors;
  if (!same(prefill, decode)) {
    ++record.tensors_different;
    if (record.first_point.empty()) {
      record.first_point = to_string(key.point);
      record.first_layer = key.layer;
    }
  }
  if (key.point == Point::x_out && key.layer == last_layer) {
    record.hidden_rel_l2 = between(prefill, decode).rel_l2;
    record.hidden_max_diff = between(prefill, decode).max_diff;
    record.prefill_hidden_hash = hash_of(prefill.values);
    record.decode_hidden_hash = hash_of(decode.values);
  }
  if (key.point == Point::final_norm) {
    record.rms_rel_l2 = between(prefill, decode).rel_l2;
    record.rms_max_diff = between(prefill, decode).max_diff;
    record.prefill_rms_hash = hash_of(prefill.values);
    record.decode_rms_hash = hash_of(decode.values);
  }
  if (key.point == Point::logits) fill_logits(prefill, decode, record);
}

}  // namespace

std::strong_ordering RowCapture::Key::operator<=>(const Key& other) const {
  return std::tuple(position, place_of_layer(*this), point) <=>
         std::tuple(other.position, place_of_layer(other), other.point);
}

bool RowCapture::wanted(Point point, int64_t layer) const {
  if (everything_ || (selection_.point(point) && selection_.layer(layer))) return true;
  return point == Point::final_norm || point == Point::logits ||
         (point == Point::x_out && layer == last_layer_);
}

void RowCapture::tensor(const Pass& pass, Point point, int64_t layer, const float* data,
                        int64_t rows, int64_t columns) {
  if (!wanted(point, layer)) return;
  for (int64_t row = 0; row < rows; ++row) {
    // A tensor of fewer rows holds the last ones of the pass (logits).
    const int64_t row_of_pass = pass.rows - rows + row, position = pass.pos0 + row_of_pass;
    if (position < first_) continue;
    rows_[{position, layer, point}] = {pass.tokens[static_cast<size_t>(row_of_pass)],
                                       {data + row * columns, data + (row + 1) * columns}};
  }
}

Result<> write_equivalence(const RowCapture& prefill, const RowCapture& decode,
                           const EquivalenceRecords& wanted, Output& output) {
  if (prefill.rows().size() != decode.rows().size()) {
    return fail(EngineExit::numeric,
                "prefill against decode: " + std::to_string(prefill.rows().size()) + " and " +
                    std::to_string(decode.rows().size()) + " rows were shown");
  }
  record::PrefillDecodeDelta delta;
  for (const auto& [key, row] : prefill.rows()) {
    TRY_ASSIGN(const Row* other, partner(decode.rows(), key, row));
    if (wanted.hidden_equiv && wanted.selection.point(key.point) &&
        wanted.selection.layer(key.layer)) {
      TRY(output.record(wanted.request, hidden_equiv(key, row, *other, wanted.bound)));
    }
    fill_delta(key, row, *other, wanted.config.layers - 1, delta);
    if (key.point != Point::logits) continue;
    // The last tensor of a position.
    delta.bound = wanted.bound;
    if (wanted.delta) TRY(output.record(wanted.request, delta));
    delta = {};
  }
  return {};
}

}  // namespace greta::engine
