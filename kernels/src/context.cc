#include "kernels/context.h"

#include <algorithm>
#include <cassert>
#include <cctype>
#include <new>

#include "code_hash.h"
#include "hwy/targets.h"
#include "matmul_int8.h"
#include "registry.h"

namespace greta::kernels {

const GenericCode kGenericCode = {.embedding = &embedding_rows,
                                  .rope = &rope_rows,
                                  .kv_update = &kv_update_heads,
                                  .fused_rope_kv_update_decode = &fused_rope_kv_update_heads,
                                  .attention_decode_bf16acc = &attention_bf16acc_heads};

namespace {

// "AVX3_DL" → "avx512_dl"
std::string target_name(int64_t target) {
  std::string name = hwy::TargetName(target);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (name.starts_with("avx3")) name.replace(0, 4, "avx512");
  return name;
}

struct Running {
  const void* code = nullptr;
  std::string target;
  bool by_type = false;  // the element type selects the code
};

template <class Function>
Running on_cpu(Function function, int64_t target, bool by_type) {
  return {reinterpret_cast<const void*>(function), target_name(target), by_type};
}
template <class Function>
Running generic(Function function) {
  return {reinterpret_cast<const void*>(function), "generic", false};
}

Running running(Op op, int type) {
  assert((op != Op::attention_decode && op != Op::attention_prefill) || type < 3);  // no Q8_0 cache
  const MatmulCode& matmul = chosen_matmul();
  const ElementwiseCode& elementwise = chosen_elementwise();
  const AttentionCode& attention = chosen_attention();
  switch (op) {
    case Op::embedding:
      return generic(kGenericCode.embedding);
    case Op::rms_norm:
      return on_cpu(elementwise.rms_norm, elementwise.target, false);
    case Op::matmul:
      return on_cpu(matmul.range[type], matmul.target, true);
    case Op::matmul_int8:
    case Op::matmul_int8_tiles: {
      const int8::Int8Code::OfType* const code = int8::code_of(static_cast<DType>(type));
      if (code == nullptr) return {};
      const auto function = op == Op::matmul_int8 ? code->dot : code->multiply;
      return {reinterpret_cast<const void*>(function), "avx512_vnni", true};
    }
    case Op::rope:
      return generic(kGenericCode.rope);
    case Op::kv_update:
      return generic(kGenericCode.kv_update);
    case Op::fused_rope_kv_update_decode:
      return generic(kGenericCode.fused_rope_kv_update_decode);
    case Op::attention_decode:
      return on_cpu(attention.decode[type], attention.target, true);
    case Op::attention_prefill:
      return on_cpu(attention.prefill[type], attention.target, true);
    case Op::attention_decode_bf16acc:
      return generic(kGenericCode.attention_decode_bf16acc);
    case Op::swiglu:
      return on_cpu(elementwise.swiglu, elementwise.target, false);
    case Op::add:
      return on_cpu(elementwise.add, elementwise.target, false);
  }
  return {};
}

}  // namespace

const char* to_string(Status status) {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::bad_shape:
      return "shapes do not fit";
    case Status::bad_dtype:
      return "element types do not fit";
  }
  return "?";
}

const char* to_string(DType type) {
  switch (type) {
    case DType::f32:
      return "f32";
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
    case DType::q8_0:
      return "q8_0";
    case DType::q4_0:
      return "q4_0";
    case DType::q5_0:
      return "q5_0";
    case DType::q4_k:
      return "q4_k";
    case DType::q5_k:
      return "q5_k";
    case DType::q6_k:
      return "q6_k";
  }
  return "?";
}

const char* to_string(Op op) {
  constexpr const char* kNames[kOps] = {"embedding",
                                        "rms_norm",
                                        "matmul",
                                        "matmul_int8",
                                        "matmul_int8_tiles",
                                        "rope",
                                        "kv_update",
                                        "fused_rope_kv_update_decode",
                                        "attention_decode",
                                        "attention_prefill",
                                        "attention_decode_bf16acc",
                                        "swiglu",
                                        "add"};
  return kNames[static_cast<int>(op)];
}

std::string isa() { return target_name(chosen_matmul().target); }

KernelIdentity identity(Op op, DType type) {
  const Running kernel = running(op, static_cast<int>(type));
  KernelIdentity out;
  out.op = to_string(op);
  out.id = out.op + ".cpu";
  out.variant = kernel.target + (kernel.by_type ? std::string("-") + to_string(type) : "");
  out.code_hash = code_hash(kernel.code);
  if (out.code_hash == 0) out.variant += "-stripped";
  return out;
}

void Context::AlignedFree::operator()(float* memory) const {
  ::operator delete[](memory, std::align_val_t{64});
}

std::span<float> Context::scratch(int worker, int64_t floats) {
  Scratch& mine = scratch_[static_cast<size_t>(worker)];
  if (mine.floats < floats) {
    const int64_t grown = std::max(floats, 2 * mine.floats);
    mine.memory.reset(new (std::align_val_t{64}) float[static_cast<size_t>(grown)]);
    mine.floats = grown;
  }
  return {mine.memory.get(), static_cast<size_t>(floats)};
}

std::vector<Launched> Context::launched() const {
  std::vector<Launched> out;
  for (int op = 0; op < kOps; ++op) {
    for (int type = 0; type < kDTypes; ++type) {
      if (launches_[op][type] == 0) continue;
      const KernelIdentity kernel = identity(static_cast<Op>(op), static_cast<DType>(type));
      // Ops whose code does not depend on the type count as one kernel.
      if (!out.empty() && out.back().kernel.id == kernel.id &&
          out.back().kernel.variant == kernel.variant) {
        out.back().launches += launches_[op][type];
      } else {
        out.push_back({kernel, launches_[op][type]});
      }
    }
  }
  return out;
}

}  // namespace greta::kernels
