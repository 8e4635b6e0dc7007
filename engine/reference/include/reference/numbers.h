#pragma once
// Numbers of the reference: storage formats read and rounded in double, without any code of the
// engine.
//
//   F16   1 sign, 5 exponent (bias 15), 10 fraction      unit roundoff 2^-11
//   BF16  the upper half of an F32                        unit roundoff 2^-8
//   Q8_0  blocks of 32: F16 scale, then 32 int8           value = scale · int8     (ggml
//   docs/gguf.md)

#include <cstdint>
#include <span>

#include "forward/kv_cache.h"
#include "model/gguf.h"

namespace greta::reference {

double f16_to_double(uint16_t bits);
double bf16_to_double(uint16_t bits);

// An element of a weight, exact, by its place in the file: row · columns + column.
double read_element(const engine::Tensor& tensor, int64_t element);
// Row `row` of a weight. out: tensor.columns() elements.
void read_row(const engine::Tensor& tensor, int64_t row, std::span<double> out);

// What a KV cache of that type gives back for `value`: nearest, ties to even. F32 rounds to float.
double round_to_storage(double value, engine::KvType type);

// One element of KV cache memory.
double read_storage(const std::byte* at, engine::KvType type);
int64_t storage_bytes(engine::KvType type);

}  // namespace greta::reference
