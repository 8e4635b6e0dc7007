#include "matmul_int8.h"

#include <algorithm>

namespace greta::kernels {
namespace int8 {

const Int8Code::OfType* code_of(DType type) {
  const Int8Code* const all = code();
  if (all == nullptr) return nullptr;
  switch (type) {
    case DType::q8_0:
      return &all->q8_0;
    case DType::q4_0:
      return &all->q4_0;
    case DType::q5_0:
      return &all->q5_0;
    case DType::q4_k:
      return &all->q4_k;
    case DType::q5_k:
      return &all->q5_k;
    case DType::q6_k:
      return &all->q6_k;
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      return nullptr;
  }
  return nullptr;
}

}  // namespace int8

namespace {

constexpr int64_t kFewTokens = 3;  // up to here each token reads the stored rows
constexpr int64_t kPanelRows = 16;

std::byte* bytes_of(std::span<float> scratch) {
  return reinterpret_cast<std::byte*>(scratch.data());
}

void few(Context& context, const MatmulArgs& args, const int8::Int8Code::OfType& code) {
  const int64_t columns = args.weight.columns(), tokens = args.x.rows();
  context.count(Op::matmul_int8, args.weight.type());
  std::byte* const x = bytes_of(context.shared_scratch(tokens * int8::token_bytes(columns) / 4));
  code.quantise_tokens(args, 0, tokens, x);
  // Panels that are worth waking a worker for: about 128 thousand products (2 µs).
  const int64_t panels = std::max<int64_t>(1, 131072 / (columns * kPanelRows));
  context.pool().split(
      args.weight.rows(), panels * kPanelRows,
      [&](int64_t begin, int64_t end, int) { code.dot(args, begin, end, x, nullptr); });
}

void many(Context& context, const MatmulArgs& args, const int8::Int8Code::OfType& code) {
  const int64_t blocks = args.weight.columns() / 32;
  const int64_t tiles = (args.x.rows() + int8::kTileTokens - 1) / int8::kTileTokens;
  context.count(Op::matmul_int8_tiles, args.weight.type());
  std::byte* const x = bytes_of(context.shared_scratch(tiles * blocks * int8::kTileBlockBytes / 4));
  context.pool().split(
      tiles, 1, [&](int64_t begin, int64_t end, int) { code.quantise_tiles(args, begin, end, x); });
  const int64_t panel = blocks * int8::kPanelBlockBytes / 4;
  context.pool().split(args.weight.rows(), kPanelRows, [&](int64_t begin, int64_t end, int worker) {
    code.multiply(args, begin, end, x, bytes_of(context.scratch(worker, panel)));
  });
}

}  // namespace

bool has_matmul_int8(DType type, int64_t columns) {
  const int8::Int8Code::OfType* const code = int8::code_of(type);
  return code != nullptr && columns % code->block == 0;
}

Status matmul_int8(Context& context, const MatmulArgs& args) {
  const int64_t columns = args.weight.columns();
  if (args.x.columns() != columns || args.out.columns() != args.weight.rows() ||
      args.out.rows() != args.x.rows()) {
    return Status::bad_shape;
  }
  if (!has_matmul_int8(args.weight.type(), columns)) return Status::bad_dtype;
  const int8::Int8Code::OfType& code = *int8::code_of(args.weight.type());
  (args.x.rows() <= kFewTokens ? few : many)(context, args, code);
  return Status::ok;
}

}  // namespace greta::kernels
