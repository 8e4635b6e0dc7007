#include "compare/floors.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "text/markdown.h"

namespace greta::store {

namespace {

constexpr double kFp32Ulp = 1.1920928955078125e-07;  // 2^-23: engines compute in fp32
constexpr double kSameOrderUlps = 4;
// A sum of n fp32 terms in another order moves by about sqrt(n) u; 64 covers rows of 4096.
constexpr double kOtherOrderUlps = 64;

// Statistics of one tensor share a prefix: attn_out_min, attn_out_max, attn_out_mae → "attn_out".
std::string tensor_of(const std::string& field) {
  if (field == "gap" || field == "entropy" || field.starts_with("top1_") ||
      field.starts_with("top2_")) {
    return "logits";
  }
  for (const std::string_view suffix : {"min", "max", "mean", "std", "rms", "mae", "max_diff"}) {
    if (field == suffix) return "";
    if (field.size() > suffix.size() + 1 && field.ends_with(suffix) &&
        field[field.size() - suffix.size() - 1] == '_') {
      return field.substr(0, field.size() - suffix.size() - 1);
    }
  }
  return field;
}

double size_of(const KindInfo& kind, const std::string& column, const std::vector<Value>& values) {
  for (size_t i = 0; i < kind.fields.size(); ++i) {
    if (kind.fields[i].column == column && is_number(values[i])) {
      return std::abs(to_double(values[i]));
    }
  }
  return 0;
}

// Half a unit of the last printed digit.
double printed_half_unit(const Value& value) {
  if (value.type != Value::Type::real || value.real == 0 || !std::isfinite(value.real)) return 0;
  std::array<char, 64> text{};
  for (int digits = 1; digits <= 9; ++digits) {
    std::snprintf(text.data(), text.size(), "%.*e", digits - 1, value.real);
    if (std::strtod(text.data(), nullptr) != value.real) continue;
    const double exponent = std::floor(std::log10(std::abs(value.real)));
    return 0.5 * std::pow(10.0, exponent - digits + 1);
  }
  return 0;
}

}  // namespace

double numeric_floor(const KindInfo& kind, size_t field, const std::vector<Value>& a,
                     const std::vector<Value>& b, const FloorContext& context) {
  const std::string& name = kind.fields[field].column;
  double floor = 0;
  if (context.a_printed) floor += printed_half_unit(a[field]);
  if (context.b_printed) floor += printed_half_unit(b[field]);
  const double bound = std::max(size_of(kind, "bound", a), size_of(kind, "bound", b));
  if (name == "rel_l2") return std::max(floor, bound);
  // The error of one arm of a record, or of one tensor of it that has a bound of its own.
  if (name.ends_with("_rel_l2")) {
    const std::string its = name.substr(0, name.size() - 6) + "bound";
    const double own = std::max(size_of(kind, its, a), size_of(kind, its, b));
    if (own > 0 || bound > 0) return std::max(floor, own > 0 ? own : bound);
  }

  const std::string tensor = tensor_of(name);
  const std::string prefix = tensor.empty() ? "" : tensor + "_";
  double size = std::max(std::abs(to_double(a[field])), std::abs(to_double(b[field])));
  for (const std::string suffix : {"min", "max"}) {
    size = std::max({size, size_of(kind, prefix + suffix, a), size_of(kind, prefix + suffix, b)});
  }
  const double ulps = context.same_order ? kSameOrderUlps : kOtherOrderUlps;
  // `bound` speaks of the tensor that was compared with the reference, whose RMS is ref_rms.
  if (bound > 0 && (tensor == "attn_out" || tensor == "head" || name.starts_with("worst_"))) {
    size = std::max({size, size_of(kind, "ref_rms", a), size_of(kind, "ref_rms", b)});
    return std::max({floor, bound * size, ulps * kFp32Ulp * size});
  }
  return std::max(floor, ulps * kFp32Ulp * size);
}

std::vector<RepeatFloor> repeat_floors(const KindInfo& kind, const RecordSet::Records& records) {
  std::vector<RepeatFloor> floors(kind.fields.size());
  const auto is_text = [&](size_t field) {
    const std::string& type = kind.fields[field].type;
    return type != "real" && type != "number" && type != "integer" && type != "boolean";
  };
  for (const auto& [key, record] : records) {
    auto first_of_group = record.repeats.begin();
    for (auto at = record.repeats.begin(); at != record.repeats.end(); ++at) {
      if (at->first.group != first_of_group->first.group) first_of_group = at;
      if (at == first_of_group) continue;
      const std::vector<Value>& first = first_of_group->second.values;
      const std::vector<Value>& values = at->second.values;
      for (size_t i = 0; i < values.size(); ++i) {
        RepeatFloor& of_field = floors[i];
        of_field.measured = true;
        if (same_value(first[i], values[i])) continue;
        of_field.agree = false;
        if (is_number(first[i]) && is_number(values[i])) {
          of_field.floor = std::max(of_field.floor, distance(first[i], values[i]));
        } else if (is_text(i)) {
          of_field.floor = std::numeric_limits<double>::infinity();
        }
      }
    }
  }
  return floors;
}

double repeat_floor(const RepeatFloor& a, const RepeatFloor& b) {
  const auto steady = [](const RepeatFloor& one) { return one.measured && one.agree; };
  if (steady(a) || steady(b)) return 0;
  return a.measured && b.measured ? a.floor + b.floor : 2 * std::max(a.floor, b.floor);
}

}  // namespace greta::store
