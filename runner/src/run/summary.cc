#include "run/summary.h"

#include <algorithm>

namespace greta::runner {
namespace {

// Characters, not bytes: continuation bytes of UTF-8 take no column.
size_t columns(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string padded(const std::string& text, size_t width) {
  const size_t used = columns(text);
  return used < width ? text + std::string(width - used, ' ') : text;
}

struct Tally {
  std::string variant;
  size_t cells = 0, ok = 0, cached = 0;
};

constexpr size_t kMostVariants = 40, kMostReasons = 20;

}  // namespace

std::string cells_text(const std::vector<store::CellRow>& rows, size_t wanted) {
  std::vector<Tally> variants;
  std::vector<std::string> reasons;
  size_t width = 0, ok = 0, cached = 0, not_ok = 0;
  for (const auto& row : rows) {
    if (variants.empty() || variants.back().variant != row.variant) {
      variants.push_back({.variant = row.variant});
    }
    Tally& tally = variants.back();
    ++tally.cells;
    if (row.status == "ok") ++tally.ok, ++ok;
    if (row.cached) ++tally.cached, ++cached;
    width = std::max(width, columns(row.variant));
    if (row.status == "ok" || ++not_ok > kMostReasons) continue;
    reasons.push_back("  " + row.status + ": " + row.variant + ", " + row.prompt + ", repeat " +
                      std::to_string(row.repeat) + ": " + row.reason);
  }
  std::string out = std::to_string(ok) + " of " + std::to_string(wanted) + " cells ok";
  if (cached > 0) out += ", " + std::to_string(cached) + " of them known already";
  out += "\n";
  for (size_t i = 0; i < variants.size() && i < kMostVariants; ++i) {
    const Tally& tally = variants[i];
    out += "  " + padded(tally.variant, width) + "  " + std::to_string(tally.ok) + "/" +
           std::to_string(tally.cells);
    if (tally.cached > 0) out += "  (" + std::to_string(tally.cached) + " known)";
    out += "\n";
  }
  if (variants.size() > kMostVariants) {
    out += "  … and " + std::to_string(variants.size() - kMostVariants) + " more variants\n";
  }
  for (const auto& reason : reasons) out += reason + "\n";
  if (not_ok > kMostReasons) {
    out += "  … and " + std::to_string(not_ok - kMostReasons) + " more cells that are not ok\n";
  }
  return out;
}

std::string gates_text(const std::vector<store::GateOutcome>& gates) {
  size_t width = 0;
  for (const auto& gate : gates) width = std::max(width, columns(gate.id));
  std::string out;
  for (const auto& gate : gates) {
    const char* word = "error";
    if (gate.status == store::GateStatus::pass) word = "pass ";
    if (gate.status == store::GateStatus::fail) word = "FAIL ";
    if (gate.status == store::GateStatus::not_measured) word = "none ";
    out += std::string("  ") + word + "  " + padded(gate.id, width) + "  " + gate.message + "\n";
  }
  return out;
}

}  // namespace greta::runner
