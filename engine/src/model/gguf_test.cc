#include "model/gguf.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "testing/gguf_builder.h"

namespace greta::engine {
namespace {

using testing::bytes_of;
using testing::GgufBuilder;
using testing::str;
using testing::u32;
using testing::u64;

std::string header(uint64_t tensors, uint64_t keys) {
  return "GGUF" + u32(3) + u64(tensors) + u64(keys);
}

TEST(Gguf, ReadsEveryKindOfValueAndPlacesTensors) {
  const std::string file = GgufBuilder()
                               .integer("a.int", 7)
                               .raw("a.i8", 1, "\xfe")
                               .raw("a.u64", 10, u64(5))
                               .real("a.real", 1.5f)
                               .boolean("a.bool", true)
                               .text("a.text", "häh")
                               .strings("a.strings", {"x", "", "z"})
                               .integers("a.ints", {1, -2})
                               .reals("a.reals", {0.5f})
                               .zeros("t.one", {3})
                               .zeros("t.two", {4, 2})
                               .build();
  const auto gguf = GgufFile::parse(bytes_of(file), "m.gguf");
  ASSERT_TRUE(gguf) << gguf.error().str();
  EXPECT_EQ(*gguf->integer("a.int"), 7);
  EXPECT_EQ(*gguf->integer("a.i8"), -2);
  EXPECT_EQ(*gguf->integer("a.u64"), 5);
  EXPECT_EQ(*gguf->real("a.real"), 1.5);
  EXPECT_EQ(*gguf->boolean("a.bool"), true);
  EXPECT_EQ(*gguf->text("a.text"), "häh");
  EXPECT_EQ(gguf->strings("a.strings")->size(), 3u);
  EXPECT_EQ((*gguf->integers("a.ints"))[1], -2);
  EXPECT_EQ((*gguf->reals("a.reals"))[0], 0.5);
  ASSERT_TRUE(gguf->tensor("t.two"));
  const Tensor& two = **gguf->tensor("t.two");
  EXPECT_EQ(two.columns(), 4);
  EXPECT_EQ(two.rows(), 2);
  EXPECT_EQ(two.data.size(), 32u);
  EXPECT_EQ(two.data.data() + 32, bytes_of(file).data() + file.size());
}

TEST(Gguf, ReadsVersion2TheSame) {
  const std::string file = GgufBuilder().integer("a", 1).build(2);
  const auto gguf = GgufFile::parse(bytes_of(file), "m.gguf");
  ASSERT_TRUE(gguf);
  EXPECT_EQ(gguf->version(), 2u);
}

TEST(Gguf, LookUpNamesTheNearestAndTheType) {
  const std::string file = GgufBuilder()
                               .integer("llama.block_count", 1)
                               .tensor("blk.0.attn_q.weight", {256}, 10, 0)
                               .data(144)
                               .build();
  const auto gguf = GgufFile::parse(bytes_of(file), "m.gguf");
  ASSERT_TRUE(gguf) << gguf.error().str();
  EXPECT_EQ(gguf->integer("llama.block_cout").error().str(),
            "m.gguf: no metadata `llama.block_cout` (did you mean `llama.block_count`?)");
  EXPECT_EQ(gguf->text("llama.block_count").error().str(),
            "m.gguf: metadata `llama.block_count` is an integer, not a string");
  EXPECT_EQ(gguf->tensor("blk.0.attn_k.weight").error().str(),
            "m.gguf: no tensor `blk.0.attn_k.weight` (did you mean `blk.0.attn_q.weight`?)");
  EXPECT_EQ(
      gguf->tensor("blk.0.attn_q.weight").error().str(),
      "m.gguf: tensor `blk.0.attn_q.weight` has type Q2_K: this engine reads " + usable_names());
  EXPECT_EQ(gguf->tensors()[0].data.size(), 84u);
}

struct Malformed {
  const char* what;
  std::string file;
  std::string message;  // after "m.gguf: "
};

std::vector<Malformed> malformed() {
  const auto one = [](const std::string& entry) { return header(0, 1) + entry; };
  const auto tensor = [](const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
    return GgufBuilder().tensor("t", dims, type, offset).data(64).build();
  };
  return {
      {"empty", "", "the file is empty (at byte 0)"},
      {"three bytes", "GGU", "this is no GGUF file: it starts with \"GGU\" (at byte 0)"},
      {"other",
       "\x7f"
       "ELF…",
       "this is no GGUF file: it starts with \"\\x7fELF\" (at byte 0)"},
      {"lfs", "version https://git-lfs.github.com/spec/v1\n",
       "this is a git-lfs pointer: fetch the file itself with `git lfs pull` (at byte 0)"},
      {"ggml", "lmgg....", "this is a GGML file, the format before GGUF: convert it (at byte 0)"},
      {"safetensors", u64(20) + "{\"a\":{}}",
       "this is a safetensors file: convert it to GGUF (at byte 0)"},
      {"zip", "PK\x03\x04....", "this is a zip archive (PyTorch?): convert it to GGUF (at byte 0)"},
      {"html", "<!DOCTYPE html>", "this is an HTML page, perhaps a failed download (at byte 0)"},
      {"big-endian", std::string("GGUF\0\0\0\3", 8) + std::string(16, '\0'),
       "this is a big-endian GGUF file, which this engine does not read (at byte 4)"},
      {"version 1", "GGUF" + u32(1), "GGUF version 1: this engine reads 2 and 3 (at byte 4)"},
      {"no version", "GGUF\3", "the file ends inside version: 3 bytes are missing (at byte 4)"},
      {"no counts", "GGUF" + u32(3) + u64(0),
       "the file ends inside kv_count: 8 bytes are missing (at byte 16)"},
      {"huge tensor count", header(uint64_t{1} << 60, 0),
       "tensor_count 1152921504606846976 cannot fit into the 0 bytes that follow (at byte 8)"},
      {"huge key count", header(0, ~uint64_t{0}),
       "kv_count 18446744073709551615 cannot fit into the 0 bytes that follow (at byte 16)"},
      {"key beyond the file", one(u64(1000) + "abcdef"),
       "metadata key 1 of 1 claims 1000 bytes, but only 6 are left in the file (at byte 24)"},
      {"key of 2^64-1 bytes", one(u64(~uint64_t{0}) + "abcdef"),
       "metadata key 1 of 1 claims 18446744073709551615 bytes, but only 6 are left in the file (at "
       "byte 24)"},
      {"empty key", one(str("") + u32(4) + u32(1)),
       "metadata key 1 of 1 has 0 bytes; 1 to 65535 are allowed (at byte 24)"},
      {"unknown type", one(str("k") + u32(13) + u32(1)),
       "metadata `k` has the unknown type 13 (at byte 33)"},
      {"bool of 2", one(str("k") + u32(7) + "\2"),
       "metadata `k` is a bool with the value 2 (at byte 37)"},
      {"string beyond the file", one(str("k") + u32(8) + u64(9) + "ab"),
       "metadata `k` claims 9 bytes, but only 2 are left in the file (at byte 37)"},
      {"value cut off", one(str("k") + u32(10) + "abc"),
       "the file ends inside metadata `k`: 5 bytes are missing (at byte 37)"},
      {"array beyond the file", one(str("k") + u32(9) + u32(4) + u64(uint64_t{1} << 61) + u32(0)),
       "metadata `k` claims 2305843009213693952 elements of at least 4 bytes, but only 4 bytes are "
       "left in "
       "the file (at byte 37)"},
      {"array of strings beyond the file",
       one(str("k") + u32(9) + u32(8) + u64(2) + str("abc") + u32(0)),
       "metadata `k` claims 2 elements of at least 8 bytes, but only 15 bytes are left in the file "
       "(at byte 37)"},
      {"string in an array", one(str("k") + u32(9) + u32(8) + u64(2) + str("ab") + u64(99)),
       "metadata `k`[1] claims 99 bytes, but only 0 are left in the file (at byte 59)"},
      {"nested array", one(str("k") + u32(9) + u32(9) + u64(1) + u32(4) + u64(0)),
       "metadata `k` is an array of arrays, which no model uses (at byte 37)"},
      {"array of unknown type", one(str("k") + u32(9) + u32(77) + u64(0)),
       "metadata `k` has elements of the unknown type 77 (at byte 37)"},
      {"64-bit element", one(str("k") + u32(9) + u32(10) + u64(1) + u64(~uint64_t{0})),
       "metadata `k` holds a number of more than 63 bits (at byte 49)"},
      {"key twice", GgufBuilder().integer("k", 1).integer("k", 2).build(),
       "metadata `k` stands there twice (at byte 41)"},
      {"control bytes in a key", one(str("a\x1b[0m") + u32(99)),
       "metadata `a\\x1b[0m` has the unknown type 99 (at byte 37)"},
      {"alignment 0", GgufBuilder().integer("general.alignment", 0).build(),
       "metadata `general.alignment` is 0, not a power of two up to 2^30 (at byte 57)"},
      {"alignment 24", GgufBuilder().integer("general.alignment", 24).build(),
       "metadata `general.alignment` is 24, not a power of two up to 2^30 (at byte 57)"},
      {"alignment text", GgufBuilder().text("general.alignment", "x").build(),
       "metadata `general.alignment` is a string, not an unsigned integer (at byte 62)"},
      {"no dimensions", tensor({}, 0, 0) + std::string(99, '\0'),
       "tensor `t` has 0 dimensions; 1 to 4 are allowed (at byte 33)"},
      {"five dimensions", tensor({1, 1, 1, 1, 1}, 0, 0),
       "tensor `t` has 5 dimensions; 1 to 4 are allowed (at byte 33)"},
      {"dimension 0", tensor({4, 0}, 0, 0), "tensor `t` has the dimension 0 (at byte 45)"},
      {"overflow", tensor({uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0),
       "tensor `t` has the dimension 1099511627776: the number of its elements overflows (at byte "
       "45)"},
      {"size overflow", tensor({uint64_t{1} << 62}, 28, 0),
       "tensor `t` has the shape [4611686018427387904]: its size overflows (at byte 33)"},
      {"unknown tensor type", tensor({4}, 4, 0),
       "tensor `t` has type number 4, which is no ggml type that this engine knows (at byte 45)"},
      {"half a block", tensor({33}, 8, 0),
       "tensor `t` has rows of 33 elements, no multiple of the 32 in a block of type Q8_0 (at byte "
       "33)"},
      {"unaligned", tensor({4}, 0, 4),
       "tensor `t` has the data offset 4, no multiple of the alignment 32 (at byte 49)"},
      {"beyond the end", tensor({32}, 0, 0),
       "the data of tensor `t` (128 bytes at data offset 0) ends after the end of the file: 64 "
       "bytes are "
       "missing (at byte 64)"},
      {"offset beyond the end", tensor({4}, 0, uint64_t{1} << 40),
       "the data of tensor `t` (16 bytes at data offset 1099511627776) ends after the end of the "
       "file: "
       "1099511627728 bytes are missing (at byte 1099511627840)"},
      {"offset of 2^64-32", tensor({4}, 0, ~uint64_t{31}),
       "the data of tensor `t` (16 bytes at data offset 18446744073709551584) lies beyond any file "
       "(at byte 64)"},
      {"overlap", GgufBuilder().tensor("a", {16}, 0, 0).tensor("b", {16}, 0, 32).data(128).build(),
       "the data of tensors `a` and `b` overlap (at byte 128)"},
      {"tensor twice", GgufBuilder().zeros("a", {8}).zeros("a", {8}).build(),
       "tensor `a` stands there twice (at byte 57)"},
      {"tensor without name", GgufBuilder().zeros("", {8}).build(),
       "tensor 1 of 1 has no name (at byte 32)"},
  };
}

TEST(Gguf, EveryMalformedFileIsOneErrorThatNamesThePlace) {
  for (const auto& [what, file, message] : malformed()) {
    const auto gguf = GgufFile::parse(bytes_of(file), "m.gguf");
    ASSERT_FALSE(gguf) << what;
    EXPECT_EQ(gguf.error().str(), "m.gguf: " + message) << what;
    EXPECT_EQ(gguf.error().exit_code, 3) << what;
  }
}

TEST(Gguf, CutAtEveryByteIsAnErrorAndNeverARead) {
  const std::string whole = GgufBuilder()
                                .integer("a", 1)
                                .strings("s", {"x", "yy"})
                                .integers("i", {1, 2, 3})
                                .zeros("t", {8})
                                .build();
  ASSERT_TRUE(GgufFile::parse(bytes_of(whole), "m"));
  for (size_t n = 0; n < whole.size(); ++n) {
    // A copy of exactly n bytes, so that a sanitizer sees the first byte read too many.
    const std::vector<char> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_FALSE(GgufFile::parse(std::as_bytes(std::span(cut)), "m")) << n;
  }
}

TEST(Gguf, OpenNamesWhatIsNoModelFile) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / "gguf_open";
  std::filesystem::create_directories(folder);
  const auto message = [](const std::filesystem::path& path) {
    const auto gguf = GgufFile::open(path);
    return gguf ? std::string("opened") : gguf.error().message;
  };
  EXPECT_EQ(message(folder), "this is a folder, not a GGUF file");
  EXPECT_EQ(message(folder / "none"), "cannot open the model: No such file or directory");
  EXPECT_EQ(message("/dev/null"), "this is not a regular file");
  std::ofstream(folder / "empty.gguf").close();
  EXPECT_EQ(message(folder / "empty.gguf"), "the file is empty (at byte 0)");
  std::ofstream(folder / "good.gguf", std::ios::binary) << GgufBuilder().integer("a", 1).build();
  EXPECT_EQ(message(folder / "good.gguf"), "opened");
}

// The pages of a file that was cut short after it was mapped cannot be read: an error, where an
// access would end the process.
TEST(Gguf, ReadingAheadTellsOfAFileThatWasCutShort) {
  const auto path = std::filesystem::path(::testing::TempDir()) / "gguf_read_ahead.gguf";
  std::ofstream(path, std::ios::binary)
      << GgufBuilder().zeros("a", {100000}).zeros("b", {100000}).build();
  const auto gguf = GgufFile::open(path);
  ASSERT_TRUE(gguf) << gguf.error().str();
  uint64_t read = 0;
  const auto whole = gguf->read_ahead([&](uint64_t done) { read = done; });
  ASSERT_TRUE(whole) << whole.error().str();
  if (read == 0) GTEST_SKIP() << "this kernel cannot read ahead on request (Linux 5.14 can)";
  EXPECT_EQ(read, gguf->bytes());
  std::filesystem::resize_file(path, 4096);
  const auto cut = gguf->read_ahead([](uint64_t) {});
  ASSERT_FALSE(cut);
  EXPECT_NE(cut.error().str().find("gguf_read_ahead.gguf: cannot read the bytes from 0 to "),
            std::string::npos)
      << cut.error().str();
}

}  // namespace
}  // namespace greta::engine
