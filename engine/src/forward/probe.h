#pragma once
// One tracing mechanism: the forward pass shows every named tensor to the probes that are attached.
// A probe reads; it never changes a result. With no probe attached a point costs one branch.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "contract/result.h"
#include "forward/kv_cache.h"

namespace greta::engine {

enum class Point {
  embed_out,  // (rows, dim)
  x_in,       // (rows, dim)            residual stream before the layer
  attn_norm,  // (rows, dim)
  q_pre,
  k_pre,
  v_pre,  // (rows, heads·head_dim) outputs of the projections, before RoPE
  q,
  k,
  v,         // the same after RoPE (v unchanged)
  attn_out,  // (rows, heads·head_dim) before WO
  wo_out,
  x_after_attn,
  ffn_norm,
  mlp_out,
  x_out,       // (rows, dim)
  final_norm,  // (rows, dim)
  logits,      // (rows, vocab): only the rows that were asked for
};
constexpr size_t kPoints = static_cast<size_t>(Point::logits) + 1;
std::string to_string(Point point);

struct Pass {
  bool decode = false;  // decode: one row, the path under test; prefill: rows ≥ 1
  int64_t step = 0;     // 0 prefill, n + 1 decode n
  int64_t pos0 = 0;     // absolute position of row 0
  int64_t rows = 0;
  int32_t last_token = -1;               // token fed in the last row
  std::span<const int32_t> tokens = {};  // the token of each row; until the end of the pass
  // Runs that exist to check another one (teacher-forced consistency) are not traced.
  bool traced = true;
  std::string phase() const {  // prefill_last, decode0, decode1, …
    return decode ? "decode" + std::to_string(step - 1) : "prefill_last";
  }
};

class Probe {
 public:
  virtual ~Probe() = default;
  // Around a request: prefill and its decode steps. Records of the request carry `id`.
  virtual void begin_request(std::string_view id) { (void)id; }
  virtual Result<> end_request() { return {}; }
  virtual void begin_pass(const Pass&) {}
  // Does the probe look at the last row of a pass only? Where all attached probes do, a long
  // prefill shows them the tensors of its last rows alone.
  virtual bool last_row_only() const { return false; }
  // data: rows × columns fp32, row-major, contiguous. layer −1 outside the layers.
  virtual void tensor(const Pass&, Point, int64_t layer, const float* data, int64_t rows,
                      int64_t columns) {
    (void)layer, (void)data, (void)rows, (void)columns;
  }
  // Around the cache update of a layer, so that a probe can see which bytes changed.
  virtual void before_kv_update(const Pass&, int64_t layer, const KvCache&) { (void)layer; }
  virtual void after_kv_update(const Pass&, int64_t layer, const KvCache&) { (void)layer; }
  // What the decode attention of this layer launched: ids joined by '+', hash over their code, the
  // length and position it was told to use.
  struct DecodeLaunch {
    std::string kernel_path, matmul_route, kernel_ids;
    uint64_t kernel_hash = 0;
    int64_t seq_len_used = 0, pos_id_used = 0;
  };
  // Row of the hidden buffer that the logits of the last position are computed from.
  virtual void readout_row(const Pass&, int64_t row) { (void)row; }
  virtual void decode_attention(const Pass&, int64_t layer, const DecodeLaunch&) { (void)layer; }
  // Does the probe read cache elements when it is shown them? A device copies its cache for that.
  virtual bool reads_kv_cache() const { return false; }
  // What the other route of products made of the same inputs, in a buffer of its own that held NaN.
  struct Shadow {
    std::vector<float> own, other;  // attention outputs (heads·head_dim)
    std::string own_route;          // valu or mfma; the other one is the other
    std::string own_kernel_ids, other_kernel_ids;
    uint64_t own_kernel_hash = 0, other_kernel_hash = 0;
  };
  virtual void decode_shadow(const Pass&, int64_t layer, const Shadow&) { (void)layer; }
  // Rows of the pass whose scores and weights the probe wants of this layer's attention, ascending.
  virtual std::vector<int64_t> attention_rows(const Pass&, int64_t layer) const {
    (void)layer;
    return {};
  }
  // What the attention kernel computed on its way: scores · scale, and the weights of the keys. NaN
  // where it computed nothing. Rows that other probes want may be among them. After attn_out.
  struct AttentionWeights {
    std::span<const int64_t> rows;  // of the pass, ascending
    int64_t heads = 0, keys = 0;    // keys: columns, as many as the last row of the pass may see
    const float* scores = nullptr;  // (rows · heads, keys)
    const float* weights = nullptr;
    int64_t keys_of(const Pass& pass, size_t row) const { return pass.pos0 + rows[row] + 1; }
    std::span<const float> row(const float* of, size_t row, int64_t head, int64_t count) const {
      return {of + (static_cast<int64_t>(row) * heads + head) * keys, static_cast<size_t>(count)};
    }
  };
  virtual void attention_weights(const Pass&, int64_t layer, const AttentionWeights&) {
    (void)layer;
  }
  virtual Result<> end_pass(const Pass&) { return {}; }
};

}  // namespace greta::engine
