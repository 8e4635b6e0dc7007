#include "reference/kv_invariants.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "reference/numbers.h"

namespace greta::reference {
namespace {

using engine::KvCache;
using engine::Pass;

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", value);
  return text.data();
}

// "k of layer 3, KV head 1, position 12"
std::string place(bool is_k, int64_t layer, int64_t kv_head, int64_t position) {
  return std::string(is_k ? "k" : "v") + " of layer " + std::to_string(layer) + ", KV head " +
         std::to_string(kv_head) + ", position " + std::to_string(position);
}

bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

std::string to_string(KvError error) {
  switch (error) {
    case KvError::kv_pos_mismatch:
      return "kv_pos_mismatch";
    case KvError::kv_pos_oob:
      return "kv_pos_oob";
    case KvError::k_slot_mismatch:
      return "k_slot_mismatch";
    case KvError::v_slot_mismatch:
      return "v_slot_mismatch";
    case KvError::kv_overlap:
      return "kv_overlap";
    case KvError::kv_history_changed:
      return "kv_history_changed";
    case KvError::kv_tail_written:
      return "kv_tail_written";
    case KvError::none:
      break;
  }
  return {};
}

KvInvariants::KvInvariants(const AttentionShape& shape) : shape_(shape) { begin_request(); }

void KvInvariants::begin_request() {
  const auto heads = static_cast<size_t>(shape_.layers * shape_.kv_heads);
  pass_.assign(heads, {});
  prefill_.assign(heads, {});
  last_was_prefill_ = false;
  k_.clear();
  v_.clear();
}

void KvInvariants::begin_pass(const Pass& pass) {
  if (pass.pos0 == 0) begin_request();
  for (size_t i = 0; i < pass_.size() && last_was_prefill_; ++i) {
    if (prefill_[i].error == KvError::none) prefill_[i] = pass_[i];
  }
  last_was_prefill_ = !pass.decode;
  std::ranges::fill(pass_, Finding{});
}

KvInvariants::Finding& KvInvariants::now(int64_t layer, int64_t kv_head) {
  return pass_.at(static_cast<size_t>(layer * shape_.kv_heads + kv_head));
}

KvInvariants::Finding KvInvariants::finding(int64_t layer, int64_t kv_head) const {
  const auto at = static_cast<size_t>(layer * shape_.kv_heads + kv_head);
  Finding result = pass_.at(at);
  if (result.error == KvError::none && prefill_[at].error != KvError::none) {
    result.error = prefill_[at].error;
    result.at = prefill_[at].at + ", in the prefill";
  }
  return result;
}

void KvInvariants::report(int64_t layer, int64_t kv_head, KvError error, const std::string& at) {
  Finding& found = now(layer, kv_head);
  if (error >= found.error) return;
  found.error = error;
  found.at = at;
}

int64_t KvInvariants::offset(const Slot& slot) const {
  const int64_t head = slot.layer * shape_.kv_heads + slot.kv_head;
  return (head * capacity_ + slot.position) * shape_.head_dim * storage_bytes(shape_.kv_type);
}

Result<> KvInvariants::check_shape(const KvCache& cache) const {
  const auto bytes = static_cast<size_t>(shape_.layers * shape_.kv_heads * cache.capacity *
                                         shape_.head_dim * storage_bytes(shape_.kv_type));
  if (cache.type == shape_.kv_type && cache.layers == shape_.layers &&
      cache.kv_heads == shape_.kv_heads && cache.head_dim == shape_.head_dim &&
      cache.k.size() == bytes && cache.v.size() == bytes) {
    return {};
  }
  return fail(
      EngineExit::numeric,
      "KV invariants: the cache has not the shape of the model: " + std::to_string(cache.layers) +
          " layers, " + std::to_string(cache.kv_heads) + " KV heads, head_dim " +
          std::to_string(cache.head_dim) + ", " + std::to_string(cache.k.size()) + " and " +
          std::to_string(cache.v.size()) + " bytes, expected " + std::to_string(bytes));
}

// The slots whose bytes differ from the copy; the copy follows.
std::vector<KvInvariants::Slot> KvInvariants::take_changes(const KvCache& cache) {
  std::vector<Slot> changes;
  const auto slot_bytes = static_cast<size_t>(shape_.head_dim * storage_bytes(shape_.kv_type));
  const auto head_bytes = slot_bytes * static_cast<size_t>(capacity_);
  for (const bool is_k : {true, false}) {
    const std::span<const std::byte> seen = is_k ? cache.k : cache.v;
    auto& copy = is_k ? k_ : v_;
    for (Slot slot{.is_k = is_k}; slot.layer < shape_.layers; ++slot.layer) {
      for (slot.kv_head = 0; slot.kv_head < shape_.kv_heads; ++slot.kv_head) {
        slot.position = 0;
        const auto head = static_cast<size_t>(offset(slot));
        if (same(seen.subspan(head, head_bytes), std::span(copy).subspan(head, head_bytes))) {
          continue;
        }
        for (; slot.position < capacity_; ++slot.position) {
          const auto at = static_cast<size_t>(offset(slot));
          if (same(seen.subspan(at, slot_bytes), std::span(copy).subspan(at, slot_bytes))) continue;
          changes.push_back(slot);
          std::memcpy(&copy[at], &seen[at], slot_bytes);
        }
      }
    }
  }
  return changes;
}

// Slots of a fresh cache are poison, so that a kernel that reads too far finds NaN. An engine may
// leave all its memory as it was; one that poisons it poisons all of it.
void KvInvariants::check_fresh(const Pass& pass, const KvCache& cache) {
  std::vector<std::pair<Slot, double>> used;
  int64_t poisoned = 0;
  for (const bool is_k : {true, false}) {
    const std::span<const std::byte> seen = is_k ? cache.k : cache.v;
    for (Slot slot{.is_k = is_k}; slot.layer < shape_.layers; ++slot.layer) {
      for (slot.kv_head = 0; slot.kv_head < shape_.kv_heads; ++slot.kv_head) {
        for (slot.position = pass.pos0; slot.position < capacity_; ++slot.position) {
          const std::byte* at = &seen[static_cast<size_t>(offset(slot))];
          double value = 0;
          for (int64_t i = 0; i < shape_.head_dim; ++i) {
            value = read_storage(at + i * storage_bytes(shape_.kv_type), shape_.kv_type);
            if (!std::isnan(value)) break;
          }
          if (std::isnan(value)) {
            ++poisoned;
          } else {
            used.emplace_back(slot, value);
          }
        }
      }
    }
  }
  if (poisoned == 0) return;
  for (const auto& [slot, value] : used) {
    report(slot.layer, slot.kv_head, KvError::kv_tail_written,
           place(slot.is_k, slot.layer, slot.kv_head, slot.position) + " holds " + number(value) +
               " before it was written");
  }
}

Result<> KvInvariants::before_update(const Pass& pass, int64_t layer, const KvCache& cache) {
  TRY(check_shape(cache));
  if (k_.empty()) {
    capacity_ = cache.capacity;
    k_.assign(cache.k.begin(), cache.k.end());
    v_.assign(cache.v.begin(), cache.v.end());
    check_fresh(pass, cache);
    return {};
  }
  for (const Slot& slot : take_changes(cache)) {
    const auto error = slot.position < pass.pos0               ? KvError::kv_history_changed
                       : slot.position < pass.pos0 + pass.rows ? KvError::kv_overlap
                                                               : KvError::kv_tail_written;
    report(slot.layer, slot.kv_head, error,
           place(slot.is_k, slot.layer, slot.kv_head, slot.position) +
               " changed outside any update, before that of layer " + std::to_string(layer));
  }
  return {};
}

// A slot that the update of `layer` had no business with.
void KvInvariants::charge_intruder(const Pass& pass, int64_t layer, const Slot& slot) {
  const std::string at = place(slot.is_k, slot.layer, slot.kv_head, slot.position) +
                         " changed in the update of layer " + std::to_string(layer);
  const bool later = slot.position >= pass.pos0 + pass.rows;
  if (slot.layer == layer) {
    report(layer, slot.kv_head, later ? KvError::kv_tail_written : KvError::kv_history_changed, at);
    return;
  }
  for (int64_t head = 0; head < shape_.kv_heads; ++head) {
    report(layer, head, KvError::kv_overlap, at);
  }
  const bool was_written = slot.position < pass.pos0 || (!later && slot.layer < layer);
  if (was_written) report(slot.layer, slot.kv_head, KvError::kv_history_changed, at);
}

// The new slots of `layer` against the history.
void KvInvariants::check_slots(const Pass& pass, int64_t layer, const KvCache& cache,
                               const History& history) {
  for (int64_t head = 0; head < shape_.kv_heads; ++head) {
    const StoredHead want = history.stored(layer, head, pass.pos0, pass.rows);
    for (const bool is_k : {true, false}) {
      const std::span<const std::byte> seen = is_k ? cache.k : cache.v;
      for (int64_t i = 0; i < pass.rows * shape_.head_dim; ++i) {
        const Slot slot{is_k, layer, head, pass.pos0 + i / shape_.head_dim};
        const int64_t dim = i % shape_.head_dim;
        const int64_t at = offset(slot) + dim * storage_bytes(shape_.kv_type);
        const double got = read_storage(&seen[static_cast<size_t>(at)], shape_.kv_type);
        const double expected = (is_k ? want.k : want.v)[static_cast<size_t>(i)];
        const double allowed = is_k ? want.k_error[static_cast<size_t>(i)] : 0.0;
        const bool both_nan = std::isnan(got) && std::isnan(expected);
        if (both_nan || got == expected || std::abs(got - expected) <= allowed) continue;
        report(layer, head, is_k ? KvError::k_slot_mismatch : KvError::v_slot_mismatch,
               place(is_k, layer, head, slot.position) + ", element " + std::to_string(dim) +
                   " holds " + number(got) + ", expected " + number(expected));
        break;
      }
    }
  }
}

Result<> KvInvariants::after_update(const Pass& pass, int64_t layer, const KvCache& cache,
                                    const History& history) {
  if (k_.empty()) {
    return fail(EngineExit::numeric, "KV invariants: layer " + std::to_string(layer) +
                                         " was updated without a look at the cache before");
  }
  if (history.positions(layer) < pass.pos0 + pass.rows) {
    return fail(EngineExit::numeric, "KV invariants: the cache of layer " + std::to_string(layer) +
                                         " was updated before k and v were shown");
  }
  std::vector<int64_t> elsewhere(static_cast<size_t>(shape_.kv_heads), -1);
  for (int64_t head = 0; head < shape_.kv_heads; ++head) now(layer, head).checked = true;
  for (const Slot& slot : take_changes(cache)) {
    const bool mine = slot.layer == layer;
    const bool expected =
        mine && slot.position >= pass.pos0 && slot.position < pass.pos0 + pass.rows;
    if (mine) {
      Finding& found = now(layer, slot.kv_head);
      int64_t& at = slot.is_k ? found.k_offset : found.v_offset;
      if (at == -1 || slot.position == pass.pos0) at = offset(slot);
      if (found.position == -1 || slot.position == pass.pos0) found.position = slot.position;
      if (!expected) elsewhere[static_cast<size_t>(slot.kv_head)] = slot.position;
    }
    if (!expected) charge_intruder(pass, layer, slot);
  }
  if (pass.pos0 + pass.rows > capacity_) {
    for (int64_t head = 0; head < shape_.kv_heads; ++head) {
      report(layer, head, KvError::kv_pos_oob,
             "position " + std::to_string(pass.pos0 + pass.rows - 1) + " of layer " +
                 std::to_string(layer) + " is outside a cache of " + std::to_string(capacity_));
    }
    return {};
  }
  check_slots(pass, layer, cache, history);
  for (int64_t head = 0; head < shape_.kv_heads; ++head) {
    // Written, but at another position of the same head.
    const Finding& found = now(layer, head);
    const int64_t other = elsewhere[static_cast<size_t>(head)];
    if (pass.rows == 1 && other != -1 && found.position == other) {
      report(layer, head, KvError::kv_pos_mismatch,
             "layer " + std::to_string(layer) + ", KV head " + std::to_string(head) +
                 " wrote position " + std::to_string(other) + ", expected " +
                 std::to_string(pass.pos0));
    }
  }
  return {};
}

void KvInvariants::told(const Pass& pass, int64_t layer, int64_t position, int64_t seq_len) {
  for (int64_t head = 0; head < shape_.kv_heads; ++head) {
    const std::string here = "attention of layer " + std::to_string(layer) + " was told ";
    if (position != pass.pos0) {
      report(layer, head, KvError::kv_pos_mismatch,
             here + "position " + std::to_string(position) + ", expected " +
                 std::to_string(pass.pos0));
    }
    if (capacity_ > 0 && (position < 0 || position >= capacity_ || seq_len > capacity_)) {
      report(layer, head, KvError::kv_pos_oob,
             here + "position " + std::to_string(position) + " and " + std::to_string(seq_len) +
                 " keys in a cache of " + std::to_string(capacity_));
    }
  }
}

}  // namespace greta::reference
