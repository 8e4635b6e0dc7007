#include "trace/selection.h"

namespace greta::engine {

Selection::Selection(const Flags& flags, const std::string& prefix, const ModelConfig& config)
    : layer_count_(config.layers), head_count_(config.heads) {
  const auto numbers = [&](const char* suffix, const NumberSet& otherwise) {
    const std::string name = prefix + suffix;
    return flags.has(name) ? flags.numbers(name) : otherwise;
  };
  layers_ = numbers("_LAYERS", NumberSet::all());
  heads_ = numbers("_HEADS", numbers("_HEAD", NumberSet::all()));
  positions_ = numbers("_POSITIONS", NumberSet::last());
  if (flags.has(prefix + "_POSITIONS")) positions_looks_ = flags.looks(prefix + "_POSITIONS");
  if (flags.has(prefix + "_PHASES")) {
    phases_ = flags.text(prefix + "_PHASES");
    phases_looks_ = flags.looks(prefix + "_PHASES");
  }
  const std::string points = prefix + "_POINTS";
  for (size_t p = 0; p < kPoints; ++p) {
    points_[p] = !flags.has(points) || flags.selects(points, to_string(static_cast<Point>(p)));
  }
}

bool Selection::phase(const Pass& pass) const {
  const bool selected = phase_selected(phases_, pass.phase());
  return phases_looks_ ? phases_looks_->tell(selected) : selected;
}

std::vector<int64_t> Selection::rows(const Pass& pass) const {
  std::vector<int64_t> rows;
  if (!phase(pass)) return rows;
  for (int64_t row = 0; row < pass.rows; ++row) {
    if (positions_.contains(pass.pos0 + row, pass.pos0 + pass.rows)) rows.push_back(row);
  }
  if (positions_looks_) positions_looks_->tell(!rows.empty());
  return rows;
}

}  // namespace greta::engine
