#include "session/logits_file.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>

namespace greta::engine {
namespace {

namespace fs = std::filesystem;

class LogitsFile : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(::testing::TempDir()) /
              ("logits_" + std::string(test->name()) + std::to_string(getpid()));
    fs::create_directories(folder_);
    path_ = folder_ / "a.logits";
  }
  void TearDown() override { fs::remove_all(folder_); }

  // 9 tokens in two windows of 4: 2 rows of 3 logits (the second half of a window, less its last).
  static LogitsHeader header() {
    return {.vocab = 3,
            .rows = 2,
            .model_hash = 77,
            .layout = {.context = 4, .bos = 2},
            .tokens = {0, 1, 2, 0, 1, 2, 0, 1, 2}};
  }
  void write_whole() {
    auto writer = LogitsWriter::create(path_, header());
    ASSERT_TRUE(writer) << writer.error().str();
    for (const float first : {1.0f, 4.0f}) {
      ASSERT_TRUE(writer->row(std::vector<float>{first, first + 1, -0.0f}));
    }
    EXPECT_FALSE(fs::exists(path_)) << "it must not look whole before it is";
    ASSERT_TRUE(writer->finish());
  }
  std::string content() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }
  // "" when the whole file can be read, else the error.
  std::string read_all() const {
    auto reader = LogitsReader::open(path_);
    if (!reader) return reader.error().str();
    std::vector<float> row(static_cast<size_t>(reader->header().vocab));
    for (int64_t i = 0; i < reader->header().rows; ++i) {
      if (const auto read = reader->row(row); !read) return read.error().str();
    }
    return "";
  }

  fs::path folder_, path_;
};

TEST_F(LogitsFile, ComesBackAsItWas) {
  write_whole();
  EXPECT_EQ(content().size(), 64 + 9 * 4 + 2 * (3 * 4 + 8u));
  EXPECT_FALSE(fs::exists(path_.string() + ".part"));
  auto reader = LogitsReader::open(path_);
  ASSERT_TRUE(reader) << reader.error().str();
  EXPECT_EQ(reader->header().model_hash, 77u);
  EXPECT_TRUE(check_comparable(reader->header(), header(), "x"));
  std::vector<float> row(3);
  ASSERT_TRUE(reader->row(row));
  EXPECT_EQ(row, (std::vector<float>{1, 2, -0.0f}));
  EXPECT_TRUE(std::signbit(row[2]));
  ASSERT_TRUE(reader->row(row));
  EXPECT_EQ(row[0], 4);
}

TEST_F(LogitsFile, AnUnfinishedOneLeavesNothing) {
  {
    auto writer = LogitsWriter::create(path_, header());
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->row(std::vector<float>{1, 2, 3}));
    EXPECT_TRUE(fs::exists(path_.string() + ".part"));
  }
  EXPECT_TRUE(fs::is_empty(folder_));
  const auto nowhere = LogitsWriter::create(folder_ / "none" / "a", header());
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().str().find("cannot create: No such file"), std::string::npos);
}

// No bit of the file is unwatched, and no length but its own is taken.
TEST_F(LogitsFile, EveryFlippedBitAndEveryCutIsNoticed) {
  write_whole();
  const std::string whole = content();
  ASSERT_EQ(read_all(), "");
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    put(flipped);
    EXPECT_NE(read_all(), "") << "bit " << bit % 8 << " of byte " << bit / 8;
  }
  for (size_t length = 0; length < whole.size(); ++length) {
    put(whole.substr(0, length));
    EXPECT_NE(read_all(), "") << length << " bytes";
  }
  put(whole + "x");
  EXPECT_NE(read_all(), "");
  // Two rows in each other's place.
  const size_t rows = 64 + 9 * 4, bytes = 20;
  put(whole.substr(0, rows) + whole.substr(rows + bytes) + whole.substr(rows, bytes));
  EXPECT_NE(read_all().find("the checksum of row 0 of 2 does not fit"), std::string::npos);
}

TEST_F(LogitsFile, ErrorsSayWhatIsWrong) {
  write_whole();
  const std::string whole = content();
  const auto with = [&](size_t at, uint32_t value) {
    std::string bytes = whole;
    std::memcpy(bytes.data() + at, &value, sizeof value);
    // The checksum of the header and the tokens, made good again.
    const uint64_t head = XXH3_64bits(bytes.data(), 56);
    const uint64_t hash = XXH3_64bits_withSeed(bytes.data() + 64, 9 * 4, head);
    std::memcpy(bytes.data() + 56, &hash, sizeof hash);
    return bytes;
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "it has 0 bytes"},
      {std::string(100, 'x'), "does not begin with GRETALOG"},
      {with(8, 2), "version 2 of the format; this program knows 1"},
      {with(12, 0), "rows of 0 logits"},
      {with(12, 4), "it was cut short or changed"},
      {with(28, 0x7fffffff), "it was cut short or changed"},
      {with(20, 0xffffffff), "it was cut short or changed"},
      {with(40, 1), "its windows are impossible: --context 1"},
      {with(40, 9), "the windows of the text have 4 scored positions, the file has 2"},
      {with(48, 3), "the begin-of-text token 3 is outside the vocabulary"},
      {with(52, 1), "the reserved field is not 0"},
      {with(64 + 8, 3), "token 2 has id 3, outside the vocabulary (0 to 2)"},
      {with(64 + 8, 0xffffffff), "token 2 has id -1"},
      {whole.substr(0, whole.size() - 1), "it was cut short or changed"},
  };
  for (const auto& [bytes, message] : cases) {
    put(bytes);
    EXPECT_NE(read_all().find(message), std::string::npos)
        << "wanted: " << message << "\ngot: " << read_all();
  }
  fs::remove(path_);
  EXPECT_NE(read_all().find("a.logits: cannot open: No such file"), std::string::npos);
}

TEST_F(LogitsFile, WhatCannotBeComparedIsNamed) {
  struct Case {
    std::function<void(LogitsHeader&)> change;
    std::string message;  // "": comparable
  };
  const std::vector<Case> cases = {
      {[](LogitsHeader& h) { h.model_hash = 1; }, ""},
      {[](LogitsHeader& h) { h.vocab = 4; }, "the vocabulary is 4 in this file and 3 here"},
      {[](LogitsHeader& h) { h.layout.context = 8; }, "the context is 8 in this file and 4 here"},
      {[](LogitsHeader& h) { h.layout.stride = 2; }, "the stride is 2 in this file and 0 here"},
      {[](LogitsHeader& h) { h.layout.bos = -1; }, "the begin-of-text token is -1 in this file"},
      {[](LogitsHeader& h) { h.tokens[5] = 1; },
       "token 5 of the text is 1 in this file and 2 here"},
      {[](LogitsHeader& h) { h.tokens.pop_back(); }, "the number of tokens is 8 in this file"},
  };
  for (const auto& [change, message] : cases) {
    LogitsHeader file = header();
    change(file);
    const auto checked = check_comparable(file, header(), "b.logits");
    EXPECT_EQ(checked.has_value(), message.empty()) << message;
    if (!checked) {
      EXPECT_NE(checked.error().str().find("b.logits: " + message), std::string::npos)
          << checked.error().str();
    }
  }
}

TEST_F(LogitsFile, HashOfAFile) {
  put("greta");
  const auto hash = hash_of_file(path_);
  ASSERT_TRUE(hash);
  EXPECT_EQ(*hash, XXH3_64bits("greta", 5));
  EXPECT_FALSE(hash_of_file(folder_ / "none"));
}

}  // namespace
}  // namespace greta::engine
