#include "reference/kv_invariants.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "reference/numbers.h"

namespace greta::reference {
namespace {

using engine::KvCache;
using engine::KvType;
using engine::Pass;

constexpr int64_t kLayers = 3, kHeads = 4, kKvHeads = 2, kHeadDim = 4, kCapacity = 8;
constexpr int64_t kKvDim = kKvHeads * kHeadDim;

AttentionShape shape_of(KvType type) {
  return {.layers = kLayers,
          .heads = kHeads,
          .kv_heads = kKvHeads,
          .head_dim = kHeadDim,
          .rope_base = 100.0,
          .kv_type = type};
}

class Engine;

// A wrong turn in one layer.
struct Wrong {
  int64_t layer = -1;
  std::function<void(Engine&, const Pass&)> update = {};  // instead of the correct one
  int64_t position_told = -1;
};

// An engine with a cache of its own, addressed here by hand.
class Engine {
 public:
  explicit Engine(KvType type = KvType::f32)
      : type_(type), history_(shape_of(type)), invariants_(shape_of(type)) {
    const size_t bytes =
        kLayers * kKvHeads * kCapacity * kHeadDim * 4 / (type == KvType::f32 ? 1 : 2);
    k_.resize(bytes);
    v_.resize(bytes);
    for (auto* cache : {&k_, &v_}) {
      for (int64_t i = 0; i < kLayers * kKvHeads * kCapacity * kHeadDim; ++i) {
        put(*cache, i, std::numeric_limits<double>::quiet_NaN());
      }
    }
  }

  void pass(int64_t rows, bool decode, const Wrong& wrong = {}) {
    const Pass pass{.decode = decode, .step = decode ? 1 : 0, .pos0 = length_, .rows = rows};
    invariants_.begin_pass(pass);
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      std::normal_distribution<float> normal;
      k_pre_.resize(static_cast<size_t>(rows * kKvDim));
      v_pre_.resize(k_pre_.size());
      for (auto* values : {&k_pre_, &v_pre_}) {
        for (float& value : *values) value = normal(random_);
      }
      ASSERT_TRUE(history_.remember_k(layer, length_, rows, k_pre_.data()));
      ASSERT_TRUE(history_.remember_v(layer, length_, rows, v_pre_.data()));
      ASSERT_TRUE(invariants_.before_update(pass, layer, view()));
      if (layer == wrong.layer && wrong.update) {
        wrong.update(*this, pass);
      } else if (length_ + rows <= kCapacity) {
        update(layer, pass);
      }
      const auto after = invariants_.after_update(pass, layer, view(), history_);
      ASSERT_TRUE(after) << after.error().str();
      if (decode) {
        const bool lie = layer == wrong.layer && wrong.position_told != -1;
        invariants_.told(pass, layer, lie ? wrong.position_told : pass.pos0, pass.pos0 + 1);
      }
    }
    length_ += rows;
  }

  // What a correct update of `layer` writes, shifted by `shift` positions.
  void update(int64_t layer, const Pass& pass, int64_t shift = 0) {
    for (int64_t row = 0; row < pass.rows; ++row) {
      for (int64_t head = 0; head < kKvHeads; ++head) {
        write(layer, head, pass.pos0 + row + shift, pass.pos0 + row, row);
      }
    }
  }

  // Slot (layer, head, slot_position) gets k rotated for `angle_position` and v of `row`.
  void write(int64_t layer, int64_t head, int64_t slot_position, int64_t angle_position,
             int64_t row) {
    write_k(layer, head, slot_position, angle_position, row);
    for (int64_t i = 0; i < kHeadDim; ++i) {
      put(v_, element(layer, head, slot_position, i),
          v_pre_[static_cast<size_t>(row * kKvDim + head * kHeadDim + i)]);
    }
  }
  void write_k(int64_t layer, int64_t head, int64_t slot_position, int64_t angle_position,
               int64_t row) {
    for (int64_t i = 0; i < kHeadDim; i += 2) {
      const double angle = static_cast<double>(angle_position) *
                           std::pow(100.0, -static_cast<double>(i) / static_cast<double>(kHeadDim));
      const auto c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
      const float* x = &k_pre_[static_cast<size_t>(row * kKvDim + head * kHeadDim + i)];
      put(k_, element(layer, head, slot_position, i), x[0] * c - x[1] * s);
      put(k_, element(layer, head, slot_position, i + 1), x[0] * s + x[1] * c);
    }
  }

  void poke(bool is_k, int64_t layer, int64_t head, int64_t position, int64_t dim, double value) {
    put(is_k ? k_ : v_, element(layer, head, position, dim), value);
  }

  // All findings as text, one a (layer, head) with an error: "L1 h0 kv_overlap".
  std::string errors() const {
    std::string text;
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      for (int64_t head = 0; head < kKvHeads; ++head) {
        const auto found = invariants_.finding(layer, head);
        EXPECT_TRUE(found.checked);
        if (found.error == KvError::none) continue;
        EXPECT_FALSE(found.at.empty());
        text += "L" + std::to_string(layer) + " h" + std::to_string(head) + " " +
                to_string(found.error) + "; ";
      }
    }
    return text;
  }
  KvInvariants::Finding finding(int64_t layer, int64_t head) const {
    return invariants_.finding(layer, head);
  }
  int64_t length() const { return length_; }
  KvInvariants& invariants() { return invariants_; }

 private:
  static int64_t element(int64_t layer, int64_t head, int64_t position, int64_t dim) {
    return ((layer * kKvHeads + head) * kCapacity + position) * kHeadDim + dim;
  }
  void put(std::vector<std::byte>& cache, int64_t at, double value) const {
    if (type_ == KvType::f32) {
      const auto single = static_cast<float>(value);
      std::memcpy(&cache[static_cast<size_t>(at * 4)], &single, 4);
      return;
    }
    // The upper half of a float that is exactly a BF16 number.
    const auto single = static_cast<float>(round_to_storage(value, KvType::bf16));
    uint32_t word;
    std::memcpy(&word, &single, 4);
    const auto half = static_cast<uint16_t>(word >> 16);
    std::memcpy(&cache[static_cast<size_t>(at * 2)], &half, 2);
  }
  KvCache view() {
    return {.type = type_,
            .layers = kLayers,
            .kv_heads = kKvHeads,
            .capacity = kCapacity,
            .head_dim = kHeadDim,
            .length = length_,
            .k = k_,
            .v = v_};
  }

  KvType type_;
  History history_;
  KvInvariants invariants_;
  std::mt19937 random_{7};
  std::vector<std::byte> k_, v_;
  std::vector<float> k_pre_, v_pre_;
  int64_t length_ = 0;
};

TEST(KvInvariants, ACorrectEngineHasNoFindings) {
  for (const KvType type : {KvType::f32, KvType::bf16}) {
    Engine engine(type);
    engine.pass(3, false);
    EXPECT_EQ(engine.errors(), "");
    for (int64_t step = 0; step < kCapacity - 3; ++step) {
      engine.pass(1, true);
      EXPECT_EQ(engine.errors(), "");
    }
    const auto found = engine.finding(2, 1);
    EXPECT_EQ(found.position, 7);
    const int64_t slot_bytes = kHeadDim * (type == KvType::f32 ? 4 : 2);
    EXPECT_EQ(found.k_offset, ((2 * kKvHeads + 1) * kCapacity + 7) * slot_bytes);
    EXPECT_EQ(found.v_offset, found.k_offset);
  }
}

// One wrong decode update of layer 1 at position 3: what is found, and where.
TEST(KvInvariants, EachWrongUpdateIsNamed) {
  struct Case {
    const char* name;
    Wrong wrong;
    const char* errors;
    const char* at;  // of layer 1, KV head 0; null: not looked at
  };
  const std::vector<Case> cases = {
      {"k rotated for the next position",
       {.layer = 1,
        .update =
            [](Engine& e, const Pass& p) {
              for (int64_t head = 0; head < kKvHeads; ++head) {
                e.write(1, head, p.pos0, p.pos0 + 1, 0);
              }
            }},
       "L1 h0 k_slot_mismatch; L1 h1 k_slot_mismatch; ",
       nullptr},
      {"v of one head left as it was",
       {.layer = 1,
        .update =
            [](Engine& e, const Pass& p) {
              e.write(1, 0, p.pos0, p.pos0, 0);
              e.write_k(1, 1, p.pos0, p.pos0, 0);
            }},
       "L1 h1 v_slot_mismatch; ",
       nullptr},
      {"slot left as it was",
       {.layer = 1, .update = [](Engine&, const Pass&) {}},
       "L1 h0 k_slot_mismatch; L1 h1 k_slot_mismatch; ",
       "k of layer 1, KV head 0, position 3, element 0 holds nan, expected "},
      {"v of the other head",
       {.layer = 1,
        .update =
            [](Engine& e, const Pass& p) {
              e.update(1, p);
              e.poke(false, 1, 0, p.pos0, 2, 9.5);
            }},
       "L1 h0 v_slot_mismatch; ",
       "v of layer 1, KV head 0, position 3, element 2 holds 9.5, expected "},
      {"the position after",
       {.layer = 1, .update = [](Engine& e, const Pass& p) { e.update(1, p, 1); }},
       "L1 h0 kv_pos_mismatch; L1 h1 kv_pos_mismatch; ",
       "layer 1, KV head 0 wrote position 4, expected 3"},
      {"heads' stride twice as large",
       {.layer = 1,
        .update =
            [](Engine& e, const Pass& p) {
              e.write(1, 0, p.pos0, p.pos0, 0);
              e.write(2, 0, p.pos0, p.pos0, 0);  // where head 1 lands
            }},
       "L1 h0 kv_overlap; L1 h1 k_slot_mismatch; ",
       "k of layer 2, KV head 0, position 3 changed in the update of layer 1"},
      {"history of this layer",
       {.layer = 1,
        .update =
            [](Engine& e, const Pass& p) {
              e.update(1, p);
              e.poke(true, 1, 0, 1, 0, 1.25);
            }},
       "L1 h0 kv_history_changed; ",
       "k of layer 1, KV head 0, position 1 changed in the update of layer 1"},
      {"history of an earlier layer",
       {.layer = 1,
        .update =
            [](Engine& e, const Pass& p) {
              e.update(1, p);
              e.poke(false, 0, 1, p.pos0, 3, 1.25);
            }},
       "L0 h1 kv_history_changed; L1 h0 kv_overlap; L1 h1 kv_overlap; ",
       nullptr},
      {"tail",
       {.layer = 1,
        .update =
            [](Engine& e, const Pass& p) {
              e.update(1, p);
              e.poke(false, 1, 1, p.pos0 + 2, 3, 0.0);
            }},
       "L1 h1 kv_tail_written; ",
       nullptr},
      {"told another position",
       {.layer = 1, .position_told = 4},
       "L1 h0 kv_pos_mismatch; L1 h1 kv_pos_mismatch; ",
       "attention of layer 1 was told position 4, expected 3"},
  };
  for (const auto& c : cases) {
    for (const KvType type : {KvType::f32, KvType::bf16}) {
      Engine engine(type);
      engine.pass(3, false);
      engine.pass(1, true, c.wrong);
      EXPECT_EQ(engine.errors(), c.errors) << c.name;
      if (c.at != nullptr) {
        EXPECT_EQ(engine.finding(1, 0).at.substr(0, std::strlen(c.at)), c.at) << c.name;
      }
      // The next, correct step is judged by itself.
      engine.pass(1, true);
      const bool spoils_next = std::string(c.name) == "the position after";
      if (!spoils_next) {
        EXPECT_EQ(engine.errors(), "") << c.name;
      }
    }
  }
}

TEST(KvInvariants, ChangesBetweenUpdatesAreSeen) {
  Engine engine;
  engine.pass(3, false);
  engine.poke(true, 2, 1, 0, 0, 3.0);
  engine.pass(1, true);
  EXPECT_EQ(engine.errors(), "L2 h1 kv_history_changed; ");
  EXPECT_EQ(
      engine.finding(2, 1).at,
      "k of layer 2, KV head 1, position 0 changed outside any update, before that of layer 0");
}

TEST(KvInvariants, ACacheThatIsNotPoisonIsNamed) {
  Engine engine;
  engine.poke(false, 1, 1, 6, 2, 0.0);
  engine.pass(3, false);
  EXPECT_EQ(engine.errors(), "L1 h1 kv_tail_written; ");
  EXPECT_EQ(engine.finding(1, 1).at,
            "v of layer 1, KV head 1, position 6 holds 0 before it was written");
}

TEST(KvInvariants, AnEngineMayLeaveAllItsMemoryAsItWas) {
  Engine engine;
  for (int64_t i = 0; i < kLayers * kKvHeads * kCapacity * kHeadDim; ++i) {
    const int64_t head = i / (kCapacity * kHeadDim), position = i / kHeadDim % kCapacity;
    for (const bool is_k : {true, false}) {
      engine.poke(is_k, head / kKvHeads, head % kKvHeads, position, i % kHeadDim, 0.5);
    }
  }
  engine.pass(3, false);
  EXPECT_EQ(engine.errors(), "");
  engine.pass(1, true, {.layer = 1, .update = [](Engine&, const Pass&) {}});
  EXPECT_EQ(engine.errors(), "L1 h0 k_slot_mismatch; L1 h1 k_slot_mismatch; ");
}

TEST(KvInvariants, AnErrorOfThePrefillStaysForTheDecodeSteps) {
  Engine engine;
  engine.pass(3, false, {.layer = 2, .update = [](Engine& e, const Pass& p) {
                           e.update(2, p);
                           e.poke(true, 2, 0, 1, 0, 5.0);
                         }});
  EXPECT_EQ(engine.errors(), "L2 h0 k_slot_mismatch; ");
  for (int step = 0; step < 2; ++step) {
    engine.pass(1, true);
    EXPECT_EQ(engine.errors(), "L2 h0 k_slot_mismatch; ");
    EXPECT_NE(engine.finding(2, 0).at.find(", in the prefill"), std::string::npos);
  }
}

TEST(KvInvariants, APositionOutsideTheCacheIsNamed) {
  Engine engine;
  engine.pass(kCapacity, false);
  engine.pass(1, true, {.layer = 0, .update = [](Engine&, const Pass&) {}});
  EXPECT_EQ(to_string(engine.finding(0, 1).error), "kv_pos_oob");
  EXPECT_EQ(engine.finding(0, 1).at, "position 8 of layer 0 is outside a cache of 8");
}

TEST(KvInvariants, WhatWasNotSeenIsNotChecked) {
  Engine engine;
  engine.pass(3, false);
  engine.invariants().begin_pass({.decode = true, .step = 1, .pos0 = 3, .rows = 1});
  EXPECT_FALSE(engine.finding(0, 0).checked);
}

TEST(KvInvariants, ACacheOfAnotherShapeIsAnError) {
  KvInvariants invariants(shape_of(KvType::f32));
  std::vector<std::byte> bytes(64);
  const KvCache cache{.type = KvType::f32,
                      .layers = 3,
                      .kv_heads = 2,
                      .capacity = 8,
                      .head_dim = 4,
                      .k = bytes,
                      .v = bytes};
  const auto result = invariants.before_update({.rows = 1}, 0, cache);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("has not the shape of the model"), std::string::npos);
}

}  // namespace
}  // namespace greta::reference
