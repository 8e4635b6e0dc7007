#pragma once
// What a trace looks at, read from the flags that carry its name: <prefix>_LAYERS, _HEADS (or
// _HEAD), _POINTS, _PHASES and _POSITIONS. Where a trace has no such flag, everything is selected;
// of the positions then the last row of each pass. Every trace selects through this one type.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "forward/probe.h"
#include "io/flags.h"
#include "model/model_config.h"

namespace greta::engine {

class Selection {
 public:
  Selection(const Flags& flags, const std::string& prefix, const ModelConfig& config);
  bool point(Point point) const { return points_[static_cast<size_t>(point)]; }
  // -1, outside the layers, is always selected.
  bool layer(int64_t layer) const { return layer < 0 || layers_.contains(layer, layer_count_); }
  bool head(int64_t head, int64_t heads) const { return heads_.contains(head, heads); }
  bool head(int64_t head) const { return heads_.contains(head, head_count_); }
  bool phase(const Pass& pass) const;
  // The selected rows of a pass, ascending; none where its phase is not selected.
  std::vector<int64_t> rows(const Pass& pass) const;

 private:
  // Null where the trace has no such flag.
  std::shared_ptr<Flags::Looks> phases_looks_, positions_looks_;
  int64_t layer_count_, head_count_;
  NumberSet layers_, heads_, positions_;
  std::string phases_ = "all";
  std::array<bool, kPoints> points_ = {};
};

}  // namespace greta::engine
