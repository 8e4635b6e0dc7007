#include "synth/synth.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "forward/weights.h"
#include "kernels/kernels.h"
#include "tokenizer/tokenizer.h"

namespace greta::engine {
namespace {

namespace fs = std::filesystem;

class Synth : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("synth-" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  static SynthOptions small(const std::string& type) {
    SynthOptions options;
    options.shape = "greta-tiny";
    options.type = type;
    options.layers = 2;
    options.vocab = 512;
    return options;
  }
  fs::path write(const SynthOptions& options, const std::string& name) {
    const fs::path path = folder_ / name;
    const auto done = write_synthetic_model(options, path);
    EXPECT_TRUE(done) << done.error().str();
    return path;
  }
  static std::string bytes(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  fs::path folder_;
};

TEST_F(Synth, EveryTypeLoadsAndIsSpreadAsItSays) {
  for (const std::string_view type : synth_types()) {
    const auto file = GgufFile::open(write(small(std::string(type)), "m.gguf"));
    ASSERT_TRUE(file) << file.error().str();
    const auto config = read_model_config(*file);
    ASSERT_TRUE(config) << type << ": " << config.error().str();
    const auto weights = bind_weights(*file, *config);
    ASSERT_TRUE(weights) << type << ": " << weights.error().str();
    EXPECT_TRUE(Tokenizer::from_gguf(*file)) << type;
    const kernels::WeightView& down = weights->layers[1].down;
    std::vector<float> row(static_cast<size_t>(down.columns()));
    double sum = 0, squares = 0;
    for (int64_t r = 0; r < down.rows(); ++r) {
      kernels::dequantize(down.type(), down.row(r), row);
      for (const float value : row) {
        sum += static_cast<double>(value);
        squares += static_cast<double>(value) * static_cast<double>(value);
      }
    }
    const auto n = static_cast<double>(down.rows() * down.columns());
    const double deviation = 1 / std::sqrt(static_cast<double>(down.columns()));
    EXPECT_NEAR(std::sqrt(squares / n), deviation, 0.05 * deviation) << type;
    EXPECT_NEAR(sum / n, 0, 0.05 * deviation) << type;
  }
}

TEST_F(Synth, OnlyFilesAreReplaced) {
  const auto refused = write_synthetic_model(small("F16"), folder_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("a folder"), std::string::npos);
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_FALSE(write_synthetic_model(small("F16"), folder_ / "pipe"));
  EXPECT_TRUE(fs::is_fifo(folder_ / "pipe"));
  // A link stays one, and what it points to is written.
  fs::create_symlink("model.gguf", folder_ / "link");
  ASSERT_TRUE(write_synthetic_model(small("F16"), folder_ / "link"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_TRUE(GgufFile::open(folder_ / "model.gguf"));
}

TEST_F(Synth, TheSeedNamesTheBytes) {
  SynthOptions options = small("Q4_K_M");
  const std::string one = bytes(write(options, "a"));
  EXPECT_EQ(one, bytes(write(options, "b")));
  options.seed = 2;
  EXPECT_NE(one, bytes(write(options, "c")));
}

TEST_F(Synth, LongContextShapesCarryTheirFrequencies) {
  SynthOptions options = small("BF16");
  options.shape = "llama3-1b";
  options.layers = 1;
  const auto file = GgufFile::open(write(options, "m.gguf"));
  ASSERT_TRUE(file) << file.error().str();
  const auto config = read_model_config(*file);
  ASSERT_TRUE(config) << config.error().str();
  ASSERT_EQ(config->rope_factors.size(), 32u);
  // The published values' ends: fast pairs turn as ever, the slowest 32 times slower.
  EXPECT_EQ(config->rope_factors.front(), 1.0f);
  EXPECT_EQ(config->rope_factors.back(), 32.0f);
}

TEST_F(Synth, WhatItCannotMakeIsSaid) {
  struct Case {
    const char *shape, *type, *says;
  };
  for (const Case& c : {Case{"lama3-8b", "F16", "did you mean `llama3-8b`?"},
                        Case{"llama3-8b", "Q4_K_L", "did you mean `Q4_K_M`?"}}) {
    SynthOptions options;
    options.shape = c.shape;
    options.type = c.type;
    const auto done = write_synthetic_model(options, folder_ / "x");
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find(c.says), std::string::npos) << done.error().message;
  }
  SynthOptions options = small("F16");
  options.vocab = 300;
  EXPECT_FALSE(write_synthetic_model(options, folder_ / "x"));
  EXPECT_FALSE(write_synthetic_model(small("F16"), folder_ / "no/such/folder/x"));
  options = small("F16");
  options.layers = 99999999;  // refused before anything of that size is planned
  EXPECT_FALSE(write_synthetic_model(options, folder_ / "x"));
  EXPECT_TRUE(fs::is_empty(folder_)) << "something half made was left";
}

}  // namespace
}  // namespace greta::engine
