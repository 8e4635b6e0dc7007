#include "gpu_attention_case.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/kernels.h"
#include "reference/numbers.h"

namespace greta::reference {
namespace {

using gpu::Accumulate;
using gpu::AttentionKernel;
using gpu::Route;
using gpu::Target;
using gpu::testing::Buffer;
using kernels::DType;

constexpr double kU = 0x1p-24;
constexpr double kSmallest = 0x1p-126;  // what is below may be flushed to zero
constexpr int64_t kSplit = 128, kTile = 32, kStep = 16;

int64_t parts(int64_t count, int64_t size) { return (count + size - 1) / size; }
double gamma(int64_t n, double u = kU) {
  const double nu = static_cast<double>(n) * u;
  return nu < 1 ? nu / (1 - nu) : std::numeric_limits<double>::infinity();
}

engine::KvType kv_type(DType type) {
  return type == DType::f16    ? engine::KvType::f16
         : type == DType::bf16 ? engine::KvType::bf16
                               : engine::KvType::f32;
}

// Unit roundoff of the running sums, 0 where they are fp32, and what a subnormal may be off by.
double unit_of(Accumulate accumulate) {
  return accumulate == Accumulate::f16 ? 0x1p-11 : accumulate == Accumulate::bf16 ? 0x1p-8 : 0;
}
double least_of(Accumulate accumulate) { return accumulate == Accumulate::f16 ? 0x1p-25 : 0; }

// The error of a sum of n products as above, relative to Σ|products|, with `more` roundings of it.
double sum_of_products(const AttentionCase& c, const gpu::Device& device, int64_t n, int64_t more) {
  const auto steps = static_cast<double>(parts(n, kStep));
  double fp32 = gamma(n);
  if (c.route == Route::mfma && device.target() == Target::cuda) {
    fp32 = (c.type == DType::bf16 ? 31.5 : 78.0) * steps * kU * (1 + 0x1p-6);
  } else if (c.route == Route::mfma && c.type == DType::bf16) {
    fp32 = device.isa() == "emu64-fma" ? gamma(3 * kStep * parts(n, kStep)) * (1 + 0x1p-6)
                                       : (9 + 6 * steps) * kU * (1 + 0x1p-6);
  }
  const int64_t kept = (c.route == Route::mfma ? parts(n, kStep) : n) + more;
  return (1 + fp32) * (1 + gamma(more)) * (1 + gamma(kept, unit_of(c.accumulate))) - 1;
}

std::vector<float> random_floats(std::mt19937& random, int64_t n, float size) {
  std::vector<float> out(static_cast<size_t>(n));
  for (float& value : out) value = size * (static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f);
  return out;
}

std::vector<std::byte> bytes_of(const AttentionCase& c, const std::vector<AttentionInput>& layers,
                                bool keys) {
  std::vector<std::byte> all;
  for (const AttentionInput& layer : layers) {
    const std::vector<float>& values = keys ? layer.k : layer.v;
    std::vector<std::byte> one(values.size() * (c.type == DType::f32 ? 4 : 2));
    kernels::round_to(c.type, values, one.data());
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

size_t slot(const AttentionCase& c, int64_t kv_head, int64_t key) {
  return static_cast<size_t>((kv_head * c.capacity() + key) * c.head_dim);
}

}  // namespace

float AttentionCase::scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }

std::string AttentionCase::variant() const {
  std::string out = route == Route::mfma ? "mfma-" : "valu-";
  out += std::string(kernels::to_string(type)) + "-sum_";
  out += accumulate == Accumulate::f32 ? "f32" : accumulate == Accumulate::f16 ? "f16" : "bf16";
  if (fault != gpu::KernelFault::none) out += std::string("-fault_") + to_string(fault);
  return out;
}

std::string AttentionCase::name() const {
  return std::string(kernel == AttentionKernel::fused ? "fused " : "manual ") + variant() +
         " heads " + std::to_string(heads) + "/" + std::to_string(kv_heads) + " head_dim " +
         std::to_string(head_dim) + " pos0 " + std::to_string(pos0) + " rows " +
         std::to_string(rows) + (shown ? " shown" : "");
}

float stored(const AttentionCase& c, float value) {
  return static_cast<float>(round_to_storage(static_cast<double>(value), kv_type(c.type)));
}

AttentionInput random_attention(const AttentionCase& c, uint32_t seed, const Sizes& sizes) {
  std::mt19937 random(seed);
  AttentionInput in;
  in.q = random_floats(random, c.rows * c.heads * c.head_dim, sizes.q);
  in.k = random_floats(random, c.kv_heads * c.capacity() * c.head_dim, sizes.k);
  in.v = random_floats(random, c.kv_heads * c.capacity() * c.head_dim, sizes.v);
  for (float& value : in.k) value = stored(c, value);
  for (float& value : in.v) value = stored(c, value);
  poison_tail(c, in, std::numeric_limits<float>::quiet_NaN());
  return in;
}

void poison_tail(const AttentionCase& c, AttentionInput& input, float value) {
  for (int64_t h = 0; h < c.kv_heads; ++h) {
    for (size_t i = slot(c, h, c.keys()); i < slot(c, h, c.capacity()); ++i) {
      input.k[i] = value;
      input.v[i] = value;
    }
  }
}

KvMemory::KvMemory(const AttentionCase& c, const std::vector<AttentionInput>& layers)
    : case_(c), k_(bytes_of(c, layers, true)), v_(bytes_of(c, layers, false)) {}

gpu::KvLayer KvMemory::layer(int64_t index) const {
  const int64_t bytes =
      case_.kv_heads * case_.capacity() * case_.head_dim * (case_.type == DType::f32 ? 4 : 2);
  return {case_.type,
          k_.byte_span().sub(index * bytes, bytes),
          v_.byte_span().sub(index * bytes, bytes),
          case_.kv_heads,
          case_.capacity(),
          case_.head_dim};
}

AttentionResult run_attention(const AttentionCase& c, const std::vector<float>& q,
                              const gpu::KvLayer& cache, gpu::Device& device) {
  const int64_t shown = c.shown ? c.rows * c.heads * c.keys() : 0;
  const Buffer<float> queries(q, device),
      out(c.rows * c.heads * c.head_dim, gpu::testing::kNan, device);
  const Buffer<float> scores(shown, gpu::testing::kNan, device),
      weights(shown, gpu::testing::kNan, device);
  const Buffer<int32_t> pos0(std::vector<int32_t>{static_cast<int32_t>(c.pos0)}, device);
  gpu::AttentionOp op = {.q = queries.read(),
                         .cache = cache,
                         .pos0 = pos0.read(),
                         .out = out.span(),
                         .heads = c.heads,
                         .keys = c.keys(),
                         .scale = c.scale(),
                         .kernel = c.kernel,
                         .route = c.route,
                         .accumulate = c.accumulate,
                         .scores = scores.span(),
                         .weights = weights.span(),
                         .fault = c.fault};
  const Buffer<std::byte> scratch(gpu::attention_scratch(op), gpu::testing::kNan, device);
  op.scratch = scratch.span();
  AttentionResult result;
  result.error = device.run(op).error;
  if (!result.error.empty()) return result;
  result.out = out.download();
  result.scores = scores.download();
  result.weights = weights.download();
  return result;
}

AttentionResult run_attention(const AttentionCase& c, const AttentionInput& input,
                              gpu::Device& device) {
  const Buffer<std::byte> k(bytes_of(c, {input}, true), device),
      v(bytes_of(c, {input}, false), device);
  return run_attention(c, input.q,
                       {c.type, k.byte_span(), v.byte_span(), c.kv_heads, c.capacity(), c.head_dim},
                       device);
}

// As reference/attention.h derives it, with the errors of these sums: a score is off by b_j, an
// exponential and its product by 5u at each rescaling (a tile, and the merge), η_j of both moves
// the output by Σ w_j η_j |v_j − o|, and the sums over keys add theirs.
HeadAnswer expected(const AttentionCase& c, const AttentionInput& input, int64_t row, int64_t head,
                    const gpu::Device& device) {
  const auto n = static_cast<size_t>(c.pos0 + row + 1), d = static_cast<size_t>(c.head_dim);
  const int64_t length = c.pos0 + row + 1;
  const float* const q = &input.q[static_cast<size_t>((row * c.heads + head) * c.head_dim)];
  const float* const k = &input.k[slot(c, c.kv_of(head), 0)];
  const float* const v = &input.v[slot(c, c.kv_of(head), 0)];
  const auto scale = static_cast<double>(c.scale());
  const double least = least_of(c.accumulate);

  HeadAnswer answer;
  const double dot = sum_of_products(c, device, c.head_dim, 0);
  double largest = -std::numeric_limits<double>::infinity();
  for (size_t j = 0; j < n; ++j) {
    double score = 0, magnitude = 0;
    for (size_t i = 0; i < d; ++i) {
      const double product = static_cast<double>(q[i]) * static_cast<double>(k[j * d + i]);
      score += product;
      magnitude += std::abs(product);
    }
    answer.score.push_back(score * scale);
    answer.score_bound.push_back(
        1.01 * scale *
            (dot * magnitude + kU * (1 + dot) * magnitude + least * static_cast<double>(d)) +
        kSmallest);
    largest = std::max(largest, score * scale);
  }
  const bool fused = c.kernel == AttentionKernel::fused;
  const int64_t in_split = std::min(length, kSplit);
  const int64_t tiles = parts(in_split, kTile), splits = parts(length, kSplit);
  const double of_exp = 5 * kU * static_cast<double>(fused ? 2 + tiles : 1);
  double total = 0;
  for (const double score : answer.score) total += std::exp(score - largest);
  std::vector<double> eta(n);
  double weight_error = 0;
  for (size_t j = 0; j < n; ++j) {
    answer.weight.push_back(std::exp(answer.score[j] - largest) / total);
    eta[j] = std::expm1(of_exp + answer.score_bound[j] + 2 * kU * (largest - answer.score[j]));
    weight_error += answer.weight[j] * eta[j];
  }
  // A thread or lane adds up, then a wave in six steps, then the block's waves or the tiles.
  const double below =
      fused ? (1 + gamma(6 + tiles + splits)) * (1 + gamma(tiles, unit_of(c.accumulate))) - 1
            : gamma(parts(length, 256) + 6 + 8);
  const double above =
      fused ? (1 + sum_of_products(c, device, in_split, tiles)) * (1 + gamma(splits + 1)) - 1
            : (1 + sum_of_products(c, device, length, 0)) * (1 + gamma(1)) - 1;
  double denominator = 1 - weight_error - below;
  if (!(denominator >= 0.5)) denominator = std::numeric_limits<double>::quiet_NaN();
  for (size_t i = 0; i < d; ++i) {
    double out = 0, moved = 0, summed = 0, flushed = 0;
    for (size_t j = 0; j < n; ++j) out += answer.weight[j] * static_cast<double>(v[j * d + i]);
    for (size_t j = 0; j < n; ++j) {
      const auto value = static_cast<double>(v[j * d + i]);
      moved += answer.weight[j] * eta[j] * std::abs(value - out);
      summed += answer.weight[j] * (1 + eta[j]) * std::abs(value);
      flushed += kSmallest * (1 + std::abs(value));
    }
    answer.out.push_back(out);
    answer.bound.push_back(1.01 *
                           (moved + above * summed + below * std::abs(out) + flushed +
                            least * static_cast<double>(length + tiles)) /
                           denominator);
  }
  for (size_t j = 0; j < n; ++j) {
    const double error = eta[j] + weight_error + below + 2 * kU;
    answer.weight_bound.push_back(1.01 * answer.weight[j] * error / denominator + kSmallest);
  }
  return answer;
}

HeadAnswer by_oracle(const AttentionCase& c, const AttentionInput& input, int64_t row,
                     int64_t head) {
  const int64_t length = c.pos0 + row + 1;
  StoredHead keys{.positions = length, .head_dim = c.head_dim, .k = {}, .k_error = {}, .v = {}};
  const auto first = static_cast<ptrdiff_t>(slot(c, c.kv_of(head), 0));
  const ptrdiff_t count = length * c.head_dim;
  keys.k.assign(input.k.begin() + first, input.k.begin() + first + count);
  keys.v.assign(input.v.begin() + first, input.v.begin() + first + count);
  keys.k_error.assign(keys.k.size(), 0.0);
  const Rope rope(c.head_dim, 10000.0);
  // At position 0 RoPE turns nothing.
  return attend({&input.q[static_cast<size_t>((row * c.heads + head) * c.head_dim)],
                 static_cast<size_t>(c.head_dim)},
                0, keys, rope);
}

bool oracle_covers(const AttentionCase& c, const gpu::Device& device) {
  const bool rounds_to_nearest = c.route == Route::valu || device.target() != Target::cuda;
  return rounds_to_nearest && c.accumulate == Accumulate::f32;
}

std::string judge(const AttentionCase& c, const AttentionInput& input,
                  const AttentionResult& result, const gpu::Device& device) {
  if (!result.error.empty()) return result.error;
  const auto beyond = [](const char* what, int64_t row, int64_t head, size_t at, float got,
                         double want, double bound) -> std::string {
    const double difference = std::abs(static_cast<double>(got) - want);
    if (difference <= bound) return {};
    return std::string(what) + " of row " + std::to_string(row) + " head " + std::to_string(head) +
           " at " + std::to_string(at) + ": " + std::to_string(got) + ", not " +
           std::to_string(want) + ", off by " + std::to_string(difference / bound) + " bounds";
  };
  std::string why;
  for (int64_t row = 0; row < c.rows; ++row) {
    for (int64_t head = 0; head < c.heads; ++head) {
      const HeadAnswer want = expected(c, input, row, head, device);
      const auto at = static_cast<size_t>(row * c.heads + head);
      const auto d = static_cast<size_t>(c.head_dim), keys = static_cast<size_t>(c.keys());
      for (size_t i = 0; i < d && why.empty(); ++i) {
        why = beyond("out", row, head, i, result.out[at * d + i], want.out[i], want.bound[i]);
      }
      if (oracle_covers(c, device)) {
        const HeadAnswer oracle = by_oracle(c, input, row, head);
        for (size_t i = 0; i < d && why.empty(); ++i) {
          why = beyond("out against the oracle", row, head, i, result.out[at * d + i],
                       oracle.out[i], oracle.bound[i]);
        }
      }
      if (!c.shown) continue;
      double sum = 0;
      for (size_t j = 0; j < want.score.size() && why.empty(); ++j) {
        const float score = result.scores[at * keys + j], weight = result.weights[at * keys + j];
        why = beyond("score", row, head, j, score, want.score[j], want.score_bound[j]);
        if (why.empty()) {
          why = beyond("weight", row, head, j, weight, want.weight[j], want.weight_bound[j]);
        }
        sum += static_cast<double>(weight);
      }
      // Numerators and their sum agree but for the roundings of the sum, of exp and of the
      // quotient.
      const double of_sum = gamma(c.keys() + 40) + gamma(8, unit_of(c.accumulate));
      if (why.empty())
        why = beyond("sum of weights", row, head, 0, static_cast<float>(sum), 1, of_sum);
      for (size_t j = want.score.size(); j < keys && why.empty(); ++j) {
        if (!std::isnan(result.scores[at * keys + j]) ||
            !std::isnan(result.weights[at * keys + j])) {
          why = "a score or weight of a later row was written";
        }
      }
      if (!why.empty()) return why;
    }
  }
  return why;
}

std::string check_attention(const AttentionCase& c, const AttentionInput& input) {
  const std::string why = judge(c, input, run_attention(c, input));
  return why.empty() ? why : c.name() + ": " + why;
}

}  // namespace greta::reference
