// The matrices of a llama model while they are used: qkv_w_verify, wo_verify, lmhead_w_verify,
// embed_verify and lmhead_cpu_probe.

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "contract/records.gen.h"
#include "figures.h"
#include "reference/attention.h"
#include "reference/numbers.h"
#include "trace/selection.h"
#include "trace/verify.h"
#include "weight_check.h"

namespace greta::engine {
namespace {

using reference::HeadComparison;
using reference::Product;
using reference::WeightCheck;

struct Asked {
  bool qkv = false, wo = false, lm_head = false, embedding = false, probe = false;
  Selection weights;    // of the checks of weights
  Selection lm_phases;  // of lmhead_cpu_probe
};

// A matrix of the model: its name in records and in the file, and what the backend calls it.
struct Named {
  const char *weight, *tensor;
  WeightMatrix matrix;
};
constexpr Named kQ = {"q", "attn_q.weight", WeightMatrix::wq};
constexpr Named kK = {"k", "attn_k.weight", WeightMatrix::wk};
constexpr Named kV = {"v", "attn_v.weight", WeightMatrix::wv};
constexpr Named kO = {"o", "attn_output.weight", WeightMatrix::wo};

template <class Record>
void fill_weight(const Tensor& tensor, const WeightCheck& check, Record& record) {
  record.tensor = tensor.name;
  record.dtype = to_string(tensor.type);
  record.rows = tensor.rows();
  record.columns = tensor.columns();
  record.w_hash = check.hash;
  record.w_file_hash = check.file_hash;
  record.w_mismatches = check.mismatches;
  record.w_max_diff = check.max_diff;
  record.w_worst_row = check.worst_row;
  record.w_worst_column = check.worst_column;
  record.w_worst_value = check.worst_value;
  record.w_worst_ref = check.worst_ref;
  record.layout_best = check.layout_best;
}

// Id of the largest, the smallest id among equals; -1 where all are NaN.
template <class T>
int64_t top1(std::span<const T> logits) {
  int64_t best = -1;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) continue;
    if (best < 0 || logits[i] > logits[static_cast<size_t>(best)]) best = static_cast<int64_t>(i);
  }
  return best;
}

class WeightTraceProbe final : public Probe {
 public:
  WeightTraceProbe(const WeightTraceParts& parts, Asked asked)
      : parts_(parts), asked_(std::move(asked)) {}

  void begin_request(std::string_view id) override {
    request_ = id;
    checks_.clear();  // looked at again: memory may change between requests
    lm_head_checked_ = false;
  }

  void begin_pass(const Pass& pass) override {
    rows_ = asked_.weights.rows(pass);
    error_ = {};
  }

  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t rows,
              int64_t columns) override {
    if (!error_) return;
    const std::span values(data, static_cast<size_t>(rows * columns));
    const bool selected = !rows_.empty() && asked_.weights.layer(layer);
    switch (point) {
      case Point::embed_out:
        if (asked_.embedding) error_ = verify_embedding(pass, values, columns);
        return;
      case Point::attn_norm:
        if (asked_.qkv && selected) keep(values, columns);
        return;
      case Point::q_pre:
        if (asked_.qkv && selected) error_ = verify_qkv(pass, kQ, layer, values);
        return;
      case Point::k_pre:
        if (asked_.qkv && selected) error_ = verify_qkv(pass, kK, layer, values);
        return;
      case Point::v_pre:
        if (asked_.qkv && selected) error_ = verify_qkv(pass, kV, layer, values);
        return;
      case Point::attn_out:
        if (asked_.wo && selected) keep(values, columns);
        return;
      case Point::wo_out:
        if (asked_.wo && selected) error_ = verify_wo(pass, layer, values);
        return;
      case Point::final_norm:
        if (asked_.probe) keep(values, columns);
        return;
      case Point::logits:
        if (asked_.lm_head && !rows_.empty() && !lm_head_checked_) error_ = verify_lm_head(pass);
        if (asked_.probe && error_ && asked_.lm_phases.phase(pass)) {
          error_ = probe_lm_head(pass, values.last(static_cast<size_t>(columns)));
        }
        return;
      default:
        return;
    }
  }

  Result<> end_pass(const Pass&) override { return std::exchange(error_, Result<>{}); }

 private:
  void keep(std::span<const float> values, int64_t columns) {
    input_.assign(values.begin(), values.end());
    input_columns_ = columns;
  }
  std::span<const float> input(int64_t row) const {
    return reference::row_of(input_, row, input_columns_);
  }

  Result<const Tensor*> tensor_of(const Named& named, int64_t layer) const {
    return parts_.file.tensor("blk." + std::to_string(layer) + "." + named.tensor);
  }
  Result<const Tensor*> lm_head() const {
    return parts_.file.tensor(parts_.config.tied_embeddings ? "token_embd.weight"
                                                            : "output.weight");
  }

  const WeightCheck& check_of(const Tensor& tensor, WeightMatrix matrix, int64_t layer) {
    const auto found = checks_.find({matrix, layer});
    if (found != checks_.end()) return found->second;
    const auto read = [&](int64_t row, std::span<float> out) {
      parts_.backend.read_weight(matrix, layer, row, out);
    };
    return checks_[{matrix, layer}] = reference::check_weight(tensor, read, parts_.options.threads);
  }

  // What the selected rows of the input give with this matrix.
  std::vector<Product> products(const Tensor& tensor, WeightMatrix matrix, int64_t layer) const {
    std::vector<std::span<const float>> inputs;
    for (const int64_t row : rows_) inputs.push_back(input(row));
    return reference::multiply(tensor, inputs, parts_.backend.rounds_activations(matrix, layer),
                               parts_.options.threads);
  }

  // write(record) for each selected row, filled with the weight and with its product.
  template <class Record, class Finish>
  Result<> verify_product(const Pass& pass, const Named& named, int64_t layer,
                          std::span<const float> out, const Finish& finish) {
    TRY_ASSIGN(const Tensor* tensor, tensor_of(named, layer));
    const WeightCheck& check = check_of(*tensor, named.matrix, layer);
    const std::vector<Product> wanted = products(*tensor, named.matrix, layer);
    for (size_t i = 0; i < rows_.size(); ++i) {
      const auto got = reference::row_of(out, rows_[i], tensor->rows());
      Record record;
      reference::fill_place(pass, rows_[i], record);
      record.layer = layer;
      fill_weight(*tensor, check, record);
      record.hash = reference::hash_of(out);
      record.ref_hash = reference::hash_of(reference::to_float(wanted[i].out));
      reference::fill_comparison(reference::compare(got, wanted[i].out, wanted[i].bound), record);
      finish(record, got, wanted[i]);
      TRY(parts_.output.record(request_, record));
    }
    return {};
  }

  Result<> verify_qkv(const Pass& pass, const Named& named, int64_t layer,
                      std::span<const float> out) {
    return verify_product<record::QkvWVerify>(
        pass, named, layer, out,
        [&](record::QkvWVerify& record, std::span<const float> got, const Product& wanted) {
          record.weight = named.weight;
          const auto d = static_cast<size_t>(parts_.config.head_dim);
          for (size_t at = 0; at < got.size(); at += d) {
            const HeadComparison head =
                reference::compare(got.subspan(at, d), std::span(wanted.out).subspan(at, d),
                                   std::span(wanted.bound).subspan(at, d));
            record.per_head_rel_l2.push_back(head.rel_l2);
          }
        });
  }

  Result<> verify_wo(const Pass& pass, int64_t layer, std::span<const float> out) {
    return verify_product<record::WoVerify>(
        pass, kO, layer, out, [](record::WoVerify&, std::span<const float>, const Product&) {});
  }

  Result<> verify_lm_head(const Pass& pass) {
    lm_head_checked_ = true;
    TRY_ASSIGN(const Tensor* tensor, lm_head());
    record::LmheadWVerify record;
    reference::fill_place(pass, pass.rows - 1, record);
    record.tied = parts_.config.tied_embeddings;
    fill_weight(*tensor, check_of(*tensor, WeightMatrix::output, -1), record);
    return parts_.output.record(request_, record);
  }

  Result<> verify_embedding(const Pass& pass, std::span<const float> out, int64_t columns) {
    TRY_ASSIGN(const Tensor* tensor, parts_.file.tensor("token_embd.weight"));
    std::vector<double> exact(static_cast<size_t>(columns));
    const std::vector<double> no_error(exact.size());
    for (const int64_t row : rows_) {
      const int64_t token = pass.tokens[static_cast<size_t>(row)];
      const auto got = reference::row_of(out, row, columns);
      reference::read_row(*tensor, token, exact);
      const std::vector<float> wanted = reference::to_float(exact);
      exact.assign(wanted.begin(), wanted.end());
      record::EmbedVerify record;
      reference::fill_place(pass, row, record);
      record.token_id = token;
      record.tensor = tensor->name;
      record.dtype = to_string(tensor->type);
      record.hash = reference::hash_of(out);
      record.row_hash = reference::hash_of(got);
      record.ref_hash = reference::hash_of(wanted);
      reference::fill_comparison(reference::compare(got, exact, no_error), record);
      record.layout_best =
          record.over_bound == 0 ? "row" : reference::layout_of(*tensor, token, got);
      TRY(parts_.output.record(request_, record));
    }
    return {};
  }

  // The answer that the last position's final norm leads to, whatever row was read out.
  Result<> probe_lm_head(const Pass& pass, std::span<const float> logits) {
    TRY_ASSIGN(const Tensor* tensor, lm_head());
    const auto norm = input(pass.rows - 1);
    const bool rounds = parts_.backend.rounds_activations(WeightMatrix::output, -1);
    const Product wanted = reference::multiply(*tensor, {norm}, rounds, parts_.options.threads)[0];
    const int64_t engine = top1(logits), fp64 = top1(std::span<const double>(wanted.out));
    record::LmheadCpuProbe record;
    reference::fill_place(pass, pass.rows - 1, record);
    record.tensor = tensor->name;
    record.vocab = static_cast<int64_t>(logits.size());
    record.final_norm_hash = reference::hash_of(norm);
    record.logits_hash = reference::hash_of(logits);
    record.ref_hash = reference::hash_of(reference::to_float(wanted.out));
    reference::fill_comparison(reference::compare(logits, wanted.out, wanted.bound), record);
    record.top1_id = engine;
    record.cpu_probe_top1_id = fp64;
    record.cpu_probe_agrees = engine == fp64;
    if (engine >= 0 && fp64 >= 0) {
      const auto e = static_cast<size_t>(engine), f = static_cast<size_t>(fp64);
      record.top1_logit = logits[e];
      record.cpu_probe_top1_logit = wanted.out[f];
      // By how much the engine's choice falls short in fp64, and what rounding may account for.
      record.shortfall = wanted.out[f] - wanted.out[e];
      record.shortfall_bound = engine == fp64 ? 0 : wanted.bound[f] + wanted.bound[e];
    }
    return parts_.output.record(request_, record);
  }

  const WeightTraceParts parts_;
  Asked asked_;
  std::string request_;
  std::vector<int64_t> rows_;
  std::vector<float> input_;  // of the product that comes next, all rows of the pass
  int64_t input_columns_ = 0;
  std::map<std::pair<WeightMatrix, int64_t>, WeightCheck> checks_;
  bool lm_head_checked_ = false;
  Result<> error_;
};

}  // namespace

Result<std::unique_ptr<Probe>> make_weight_trace_probe(const WeightTraceParts& parts) {
  const Flags& flags = parts.flags;
  const bool qkv = flags.boolean("GRETA_TRACE_QKV_W_VERIFY");
  const bool wo = flags.boolean("GRETA_TRACE_WO_W_VERIFY");
  const bool lm_head = flags.boolean("GRETA_TRACE_LMHEAD_W_VERIFY");
  const bool embedding = flags.boolean("GRETA_TRACE_EMBED_VERIFY");
  const bool probe = flags.boolean("GRETA_TRACE_LMHEAD_CPU_PROBE");
  const bool weights = qkv || wo || lm_head || embedding;
  if (!weights && !probe) return nullptr;
  // Flags of a trace that is off stay unread.
  Asked asked{.qkv = qkv,
              .wo = wo,
              .lm_head = lm_head,
              .embedding = embedding,
              .probe = probe,
              .weights = Selection(flags, weights ? "GRETA_TRACE_W" : "", parts.config),
              .lm_phases = Selection(flags, probe ? "GRETA_TRACE_LMHEAD" : "", parts.config)};
  return std::make_unique<WeightTraceProbe>(parts, std::move(asked));
}

}  // namespace greta::engine
