#include "reference/numbers.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace greta::reference {
namespace {

using engine::KvType;
using engine::Tensor;
using engine::TensorType;

TEST(Numbers, F16HasTheValuesOfIeee754) {
  struct Case {
    uint16_t bits;
    double value;
  };
  for (const auto& c : {Case{0x0000, 0.0}, Case{0x3c00, 1.0}, Case{0xc000, -2.0},
                        Case{0x3555, 0.333251953125}, Case{0x7bff, 65504.0}, Case{0x0001, 0x1p-24},
                        Case{0x03ff, 1023 * 0x1p-24}, Case{0x0400, 0x1p-14}, Case{0x8001, -0x1p-24},
                        Case{0x7c00, std::numeric_limits<double>::infinity()}}) {
    EXPECT_EQ(f16_to_double(c.bits), c.value) << std::hex << c.bits;
  }
  EXPECT_TRUE(std::isnan(f16_to_double(0x7e00)));
  EXPECT_TRUE(std::isnan(f16_to_double(0xfc01)));
}

TEST(Numbers, Bf16IsTheUpperHalfOfAFloat) {
  EXPECT_EQ(bf16_to_double(0x3f80), 1.0);
  EXPECT_EQ(bf16_to_double(0xc049), -3.140625);
  EXPECT_TRUE(std::isnan(bf16_to_double(0x7fc0)));
}

// Every 16-bit pattern is its own rounding, and what lies between two neighbours goes to the
// nearer, ties to the even one.
TEST(Numbers, RoundingGoesToTheNearestAndTiesToEven) {
  const auto check = [](KvType type, double (*value_of)(uint16_t), uint16_t last_finite) {
    for (uint16_t bits = 0; bits < last_finite; ++bits) {
      const double low = value_of(bits), high = value_of(static_cast<uint16_t>(bits + 1));
      const double middle = low + (high - low) / 2;
      const double even = (bits & 1) == 0 ? low : high;
      ASSERT_EQ(round_to_storage(low, type), low) << bits;
      ASSERT_EQ(round_to_storage(-high, type), -high) << bits;
      ASSERT_EQ(round_to_storage(middle, type), even) << bits;
      ASSERT_EQ(round_to_storage(std::nextafter(middle, low), type), low) << bits;
      ASSERT_EQ(round_to_storage(-std::nextafter(middle, high), type), -high) << bits;
    }
  };
  check(KvType::f16, f16_to_double, 0x7bff);
  check(KvType::bf16, bf16_to_double, 0x7f7f);
  EXPECT_EQ(round_to_storage(65520.0, KvType::f16), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(round_to_storage(std::nan(""), KvType::f16)));
  EXPECT_EQ(round_to_storage(1.0 + 0x1p-25, KvType::f32), 1.0);
}

TEST(Numbers, StorageIsReadAsItsType) {
  const std::array<std::byte, 4> bytes = {std::byte{0x00}, std::byte{0x3c}, std::byte{0x80},
                                          std::byte{0x3f}};
  EXPECT_EQ(read_storage(bytes.data(), KvType::f16), 1.0);
  EXPECT_EQ(read_storage(bytes.data() + 2, KvType::bf16), 1.0);
  EXPECT_EQ(read_storage(bytes.data(), KvType::f32), 1.0 + 0x3c00 * 0x1p-23);
}

template <class T>
void put(std::vector<std::byte>& bytes, T value) {
  const auto* at = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), at, at + sizeof value);
}

TEST(Numbers, RowsOfEveryTensorType) {
  constexpr int64_t kColumns = 64;
  struct Case {
    TensorType type;
    double scale;  // value of column c in row r is scale · (c − 32 + r)
  };
  for (const auto& c : {Case{TensorType::f32, 0.25}, Case{TensorType::f16, 0.25},
                        Case{TensorType::bf16, 0.25}, Case{TensorType::q8_0, 0.25}}) {
    std::vector<std::byte> bytes;
    for (int64_t row = 0; row < 2; ++row) {
      for (int64_t column = 0; column < kColumns; ++column) {
        const auto step = static_cast<int>(column - 32 + row);
        const auto value = static_cast<float>(c.scale * step);
        uint32_t word;
        std::memcpy(&word, &value, sizeof word);
        if (c.type == TensorType::f32) put(bytes, value);
        if (c.type == TensorType::bf16) put(bytes, static_cast<uint16_t>(word >> 16));
        if (c.type == TensorType::f16) {  // exact: few significant bits, normal range
          const auto magnitude = static_cast<uint16_t>(((word >> 13) & 0x3ffffu) - (112u << 10));
          const auto sign = static_cast<uint16_t>((word >> 16) & 0x8000u);
          put(bytes, static_cast<uint16_t>(value == 0 ? 0 : sign | magnitude));
        }
        if (c.type == TensorType::q8_0) {
          if (column % 32 == 0) put(bytes, static_cast<uint16_t>(0x3400));  // 0.25
          put(bytes, static_cast<int8_t>(step));
        }
      }
    }
    const Tensor tensor{.name = "t", .type = c.type, .dims = {kColumns, 2}, .data = bytes};
    std::vector<double> row(kColumns);
    for (int64_t r = 0; r < 2; ++r) {
      read_row(tensor, r, row);
      for (int64_t column = 0; column < kColumns; ++column) {
        ASSERT_EQ(row[static_cast<size_t>(column)], c.scale * static_cast<double>(column - 32 + r))
            << engine::to_string(c.type) << ' ' << r << ' ' << column;
      }
    }
  }
}

// The blocks that ci/peers/quant_goldens.py made with the gguf Python package.
TEST(Numbers, QuantisedBlocksAreWhatTheFormatsOwnPackageSays) {
  const std::map<std::string, std::pair<TensorType, int64_t>> types = {
      {"Q8_0", {TensorType::q8_0, 32}},  {"Q4_0", {TensorType::q4_0, 32}},
      {"Q5_0", {TensorType::q5_0, 32}},  {"Q4_K", {TensorType::q4_k, 256}},
      {"Q5_K", {TensorType::q5_k, 256}}, {"Q6_K", {TensorType::q6_k, 256}}};
  std::ifstream file(QUANT_GOLDENS);
  std::set<std::string> seen;
  for (std::string name, hex, values; file >> name >> hex >> values;) {
    ASSERT_TRUE(types.contains(name)) << name;
    const auto [type, elements] = types.at(name);
    std::vector<std::byte> bytes;
    for (size_t i = 0; i < hex.size(); i += 2) {
      bytes.push_back(static_cast<std::byte>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    }
    const Tensor tensor{.name = "t", .type = type, .dims = {elements, 1}, .data = bytes};
    std::vector<double> row(static_cast<size_t>(elements));
    read_row(tensor, 0, row);
    for (size_t i = 0; i < row.size(); ++i) {
      const auto bits = static_cast<uint32_t>(std::stoul(values.substr(8 * i, 8), nullptr, 16));
      ASSERT_EQ(row[i], static_cast<double>(std::bit_cast<float>(bits))) << name << ' ' << i;
    }
    seen.insert(name);
  }
  EXPECT_EQ(seen.size(), types.size());
}

}  // namespace
}  // namespace greta::reference
