#pragma once
// The tensors of two ways through the same tokens, by prefill and by decode, position by position
// (`hidden_equiv` and `prefill_decode_delta` records). Rows are kept under their absolute position
// and the token that was fed there: what lies at different positions, or belongs to different
// tokens, cannot be compared here.

#include <compare>
#include <map>
#include <string>
#include <vector>

#include "contract/result.h"
#include "forward/probe.h"
#include "io/output.h"
#include "model/model_config.h"
#include "trace/selection.h"

namespace greta::engine {

// Keeps the rows at positions from `first` on of the passes that it is shown.
class RowCapture final : public Probe {
 public:
  // Order of execution.
  struct Key {
    int64_t position = 0, layer = 0;
    Point point = Point::embed_out;
    std::strong_ordering operator<=>(const Key& other) const;
    bool operator==(const Key&) const = default;
  };
  struct Row {
    int32_t token = -1;
    std::vector<float> values;
  };

  // points: those of `selection`, and the hidden state, final norm and logits in any case.
  RowCapture(const ModelConfig& config, const Selection& selection, bool everything, int64_t first)
      : last_layer_(config.layers - 1),
        selection_(selection),
        everything_(everything),
        first_(first) {}
  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t rows,
              int64_t columns) override;
  const std::map<Key, Row>& rows() const { return rows_; }

 private:
  bool wanted(Point point, int64_t layer) const;
  int64_t last_layer_;
  const Selection& selection_;
  bool everything_;
  int64_t first_;
  std::map<Key, Row> rows_;
};

struct EquivalenceRecords {
  const ModelConfig& config;
  const Selection& selection;  // of hidden_equiv
  bool hidden_equiv = false, delta = false;
  double bound = 0;
  std::string request;
};
// Errors (EngineExit::numeric) where the two sides did not show the same positions, tensors and
// tokens: then nothing was compared.
Result<> write_equivalence(const RowCapture& prefill, const RowCapture& decode,
                           const EquivalenceRecords& wanted, Output& output);

}  // namespace greta::engine
