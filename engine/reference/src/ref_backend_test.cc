#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "forward/backend.h"
#include "random_model.h"

namespace greta::engine {
namespace {

using reference::Matrix;
using reference::random_model;
using Model = reference::RandomModel;

constexpr ModelConfig kOneHead{.layers = 1,
                               .dim = 4,
                               .heads = 1,
                               .kv_heads = 1,
                               .head_dim = 4,
                               .ffn = 6,
                               .vocab = 7,
                               .context = 32,
                               .rms_eps = 1e-3f,
                               .rope_base = 100.0f,
                               .tied_embeddings = false};
constexpr ModelConfig kGrouped{.layers = 3,
                               .dim = 16,
                               .heads = 4,
                               .kv_heads = 2,
                               .head_dim = 6,
                               .ffn = 20,
                               .vocab = 11,
                               .context = 32,
                               .rms_eps = 1e-5f,
                               .rope_base = 10000.0f,
                               .tied_embeddings = true};

// A backend with the file that it reads.
struct Loaded {
  std::vector<std::byte> bytes;
  std::unique_ptr<GgufFile> file;
  std::unique_ptr<Backend> backend;
};

Loaded load(const Model& model, BackendOptions options = {}, TensorType type = TensorType::f32) {
  Loaded loaded{.bytes = model.file(type), .file = nullptr, .backend = nullptr};
  auto file = GgufFile::parse(loaded.bytes, "test");
  EXPECT_TRUE(file) << file.error().str();
  loaded.file = std::make_unique<GgufFile>(std::move(*file));
  auto backend = make_ref_backend(*loaded.file, model.config, options);
  EXPECT_TRUE(backend) << backend.error().str();
  loaded.backend = std::move(*backend);
  return loaded;
}

std::vector<float> feed(Backend& backend, int64_t pos0, const std::vector<int32_t>& tokens,
                        int64_t vocab, bool decode = false) {
  std::vector<float> logits(tokens.size() * static_cast<size_t>(vocab));
  const auto rows = static_cast<int64_t>(tokens.size());
  const Pass pass{.decode = decode, .step = decode ? 1 : 0, .pos0 = pos0, .rows = rows};
  const auto result = backend.forward(pass, tokens, rows, logits);
  EXPECT_TRUE(result) << result.error().str();
  return logits;
}

// One layer, one head, four dimensions, written out once more with plain loops and no cache: every
// position is computed again from the tokens.
std::vector<double> by_hand(const Model& model, const std::vector<int32_t>& tokens) {
  const auto times = [](const Matrix& m, const std::vector<double>& x) {
    std::vector<double> y;
    for (const auto& row : m) {
      double sum = 0;
      for (size_t i = 0; i < x.size(); ++i) sum += row[i] * x[i];
      y.push_back(sum);
    }
    return y;
  };
  const auto norm = [](const Matrix& weight, std::vector<double> x) {
    double squares = 0;
    for (const double value : x) squares += value * value;
    for (size_t i = 0; i < 4; ++i) {
      x[i] = x[i] / std::sqrt(squares / 4 + static_cast<double>(kOneHead.rms_eps)) * weight[0][i];
    }
    return x;
  };
  const auto turn = [](std::vector<double> x, double position) {
    const double slow = position / 10;  // 100^(-2/4)
    return std::vector<double>{x[0] * std::cos(position) - x[1] * std::sin(position),
                               x[0] * std::sin(position) + x[1] * std::cos(position),
                               x[2] * std::cos(slow) - x[3] * std::sin(slow),
                               x[2] * std::sin(slow) + x[3] * std::cos(slow)};
  };
  const auto& w = model.weights;
  std::vector<std::vector<double>> keys, values;
  std::vector<double> x, logits;
  for (size_t t = 0; t < tokens.size(); ++t) {
    x = w.at("token_embd.weight")[static_cast<size_t>(tokens[t])];
    const auto h = norm(w.at("blk.0.attn_norm.weight"), x);
    const auto q = turn(times(w.at("blk.0.attn_q.weight"), h), static_cast<double>(t));
    keys.push_back(turn(times(w.at("blk.0.attn_k.weight"), h), static_cast<double>(t)));
    values.push_back(times(w.at("blk.0.attn_v.weight"), h));
    std::vector<double> mixed(4);
    double total = 0;
    for (size_t j = 0; j <= t; ++j) {
      double score = 0;
      for (size_t i = 0; i < 4; ++i) score += q[i] * keys[j][i] / 2;
      total += std::exp(score);
      for (size_t i = 0; i < 4; ++i) mixed[i] += std::exp(score) * values[j][i];
    }
    for (double& value : mixed) value /= total;
    const auto attended = times(w.at("blk.0.attn_output.weight"), mixed);
    for (size_t i = 0; i < 4; ++i) x[i] += attended[i];
    const auto g = norm(w.at("blk.0.ffn_norm.weight"), x);
    auto gate = times(w.at("blk.0.ffn_gate.weight"), g);
    const auto up = times(w.at("blk.0.ffn_up.weight"), g);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
    const auto down = times(w.at("blk.0.ffn_down.weight"), gate);
    for (size_t i = 0; i < 4; ++i) x[i] += down[i];
    const auto row = times(w.at("output.weight"), norm(w.at("output_norm.weight"), x));
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

TEST(RefBackend, EqualsAForwardPassWrittenByHand) {
  for (const uint32_t seed : {1u, 2u, 3u}) {
    const Model model = random_model(kOneHead, seed);
    const std::vector<int32_t> tokens = {3, 0, 6, 6, 1, 5};
    const auto want = by_hand(model, tokens);
    Loaded ref = load(model);
    const auto got = feed(*ref.backend, 0, tokens, kOneHead.vocab);
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_NEAR(got[i], want[i], 1e-6 * (1 + std::abs(want[i]))) << seed << ' ' << i;
    }
  }
}

TEST(RefBackend, DecodeThreadsAndBatchShapesGiveTheSameBits) {
  const Model model = random_model(kGrouped, 4);
  const std::vector<int32_t> tokens = {1, 10, 4, 4, 0, 7, 2};
  const auto vocab = static_cast<size_t>(kGrouped.vocab);
  Loaded ref = load(model);
  const auto whole = feed(*ref.backend, 0, tokens, kGrouped.vocab);

  Loaded threaded = load(model, {.threads = 3});
  EXPECT_EQ(feed(*threaded.backend, 0, tokens, kGrouped.vocab), whole);

  threaded.backend->reset();
  std::vector<float> stepwise = feed(*threaded.backend, 0, {1, 10, 4}, kGrouped.vocab);
  for (size_t t = 3; t < tokens.size(); ++t) {
    const auto row =
        feed(*threaded.backend, static_cast<int64_t>(t), {tokens[t]}, kGrouped.vocab, true);
    EXPECT_EQ(row.size(), vocab);
    stepwise.insert(stepwise.end(), row.begin(), row.end());
  }
  EXPECT_EQ(stepwise, whole);
}

// Query head h reads KV head h / group: repeating each KV head for its group changes nothing.
TEST(RefBackend, GroupedHeadsEqualRepeatedKvHeads) {
  const Model grouped = random_model(kGrouped, 5);
  Model repeated = grouped;
  repeated.config.kv_heads = repeated.config.heads;
  for (auto& [name, matrix] : repeated.weights) {
    if (name.find("attn_k.") == std::string::npos && name.find("attn_v.") == std::string::npos) {
      continue;
    }
    Matrix expanded;
    for (size_t head = 0; head < 4; ++head) {
      const auto first = matrix.begin() + static_cast<ptrdiff_t>(head / 2 * 6);
      expanded.insert(expanded.end(), first, first + 6);
    }
    matrix = expanded;
  }
  const std::vector<int32_t> tokens = {2, 3, 5, 7};
  Loaded a = load(grouped), b = load(repeated);
  EXPECT_EQ(feed(*a.backend, 0, tokens, kGrouped.vocab),
            feed(*b.backend, 0, tokens, kGrouped.vocab));
}

TEST(RefBackend, CacheTypeIsPartOfWhatIsAsked) {
  const Model model = random_model(kGrouped, 6);
  const std::vector<int32_t> tokens = {2, 3, 5, 7, 9, 1};
  const auto distance = [&](KvType type) {
    Loaded full = load(model), rounded = load(model, {.kv_type = type});
    const auto a = feed(*full.backend, 0, tokens, kGrouped.vocab);
    const auto b = feed(*rounded.backend, 0, tokens, kGrouped.vocab);
    double difference = 0, norm = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      difference += (a[i] - b[i]) * (a[i] - b[i]);
      norm += a[i] * a[i];
    }
    return std::sqrt(difference / norm);
  };
  EXPECT_EQ(distance(KvType::f32), 0.0);
  EXPECT_GT(distance(KvType::f16), 1e-6);
  EXPECT_LT(distance(KvType::f16), 1e-2);
  EXPECT_GT(distance(KvType::bf16), distance(KvType::f16));
  EXPECT_LT(distance(KvType::bf16), 1e-1);
}

TEST(RefBackend, TheSameWeightsInEveryTensorTypeGiveTheSameBits) {
  constexpr ModelConfig kWide{.layers = 2,
                              .dim = 32,
                              .heads = 4,
                              .kv_heads = 2,
                              .head_dim = 8,
                              .ffn = 64,
                              .vocab = 40,
                              .context = 32,
                              .rms_eps = 1e-5f,
                              .rope_base = 10000.0f,
                              .tied_embeddings = false};
  const Model model = random_model(kWide, 10);
  const std::vector<int32_t> tokens = {0, 39, 17, 5};
  Loaded f32 = load(model);
  const auto want = feed(*f32.backend, 0, tokens, kWide.vocab);
  for (const TensorType type : {TensorType::f16, TensorType::bf16, TensorType::q8_0}) {
    Loaded other = load(model, {}, type);
    EXPECT_EQ(feed(*other.backend, 0, tokens, kWide.vocab), want) << to_string(type);
  }
}

struct Recorder : Probe {
  std::vector<std::string> seen;
  int64_t launches = 0;
  void tensor(const Pass&, Point point, int64_t layer, const float*, int64_t rows,
              int64_t columns) override {
    seen.push_back(std::to_string(static_cast<int>(point)) + "@" + std::to_string(layer) + ":" +
                   std::to_string(rows) + "x" + std::to_string(columns));
  }
  void decode_attention(const Pass&, int64_t, const DecodeLaunch& launch) override {
    EXPECT_EQ(launch.kernel_path, "ref");
    ++launches;
  }
};

TEST(RefBackend, ShowsEveryPointOfEveryLayerOnce) {
  const Model model = random_model(kGrouped, 7);
  Loaded ref = load(model);
  Recorder recorder;
  ref.backend->attach(&recorder);
  feed(*ref.backend, 0, {1, 2, 3}, kGrouped.vocab);
  // 14 points a layer, three outside; shapes as probe.h says.
  EXPECT_EQ(recorder.seen.size(), 3u * 14u + 3u);
  const auto shown = [&](Point point, int64_t layer, const std::string& shape) {
    return std::ranges::count(recorder.seen, std::to_string(static_cast<int>(point)) + "@" +
                                                 std::to_string(layer) + ":" + shape);
  };
  EXPECT_EQ(shown(Point::embed_out, -1, "3x16"), 1);
  EXPECT_EQ(shown(Point::q_pre, 1, "3x24"), 1);
  EXPECT_EQ(shown(Point::k, 2, "3x12"), 1);
  EXPECT_EQ(shown(Point::attn_out, 0, "3x24"), 1);
  EXPECT_EQ(shown(Point::x_out, 2, "3x16"), 1);
  EXPECT_EQ(shown(Point::logits, -1, "3x11"), 1);
  EXPECT_EQ(recorder.launches, 0);
  feed(*ref.backend, 3, {4}, kGrouped.vocab, true);
  EXPECT_EQ(recorder.launches, 3);
}

TEST(RefBackend, WrongCallsAreNamed) {
  const Model model = random_model(kGrouped, 8);
  Loaded ref = load(model, {.max_seq = 4});
  std::vector<float> logits(11);
  const auto error = [&](int64_t pos0, std::vector<int32_t> tokens, int64_t logit_rows) {
    const Pass pass{.pos0 = pos0, .rows = static_cast<int64_t>(tokens.size())};
    const auto result = ref.backend->forward(pass, tokens, logit_rows, logits);
    return result ? std::string() : result.error().message;
  };
  EXPECT_EQ(error(0, {}, 0), "ref backend: no tokens");
  EXPECT_EQ(error(1, {1}, 1), "ref backend: position 1 is not the next one, 0");
  EXPECT_EQ(error(0, {1, 2, 3, 4, 5}, 1), "ref backend: 5 positions, room for 4");
  EXPECT_EQ(error(0, {11}, 1), "ref backend: token 11 is outside the vocabulary of 11");
  EXPECT_EQ(error(0, {1, 2}, 2), "ref backend: no room for 2 rows of logits out of 2");
  EXPECT_EQ(error(0, {1, 2}, 1), "");
}

TEST(RefBackend, ATensorOfTheWrongShapeIsNamed) {
  Model model = random_model(kGrouped, 9);
  model.weights["blk.1.attn_k.weight"].pop_back();
  const auto bytes = model.file();
  const auto file = GgufFile::parse(bytes, "test");
  ASSERT_TRUE(file) << file.error().str();
  const auto backend = make_ref_backend(*file, model.config, {});
  ASSERT_FALSE(backend);
  EXPECT_EQ(backend.error().message,
            "test: tensor `blk.1.attn_k.weight` is 16 x 11, expected 16 x 12");
}

}  // namespace
}  // namespace greta::engine
