#pragma once
// The comparisons of a gate with `metric`: one, or a lower and an upper number.

#include <string>
#include <string_view>
#include <vector>

#include "contract/result.h"
#include "store/gates.h"

namespace greta::store {

// SQL that is true of a number.
inline constexpr std::string_view kIsNumber = "IN ('integer', 'real')";

class GateBounds {
 public:
  // Errors (usage): no bound or too many, an unknown comparison, a limit that is no number.
  static Result<GateBounds> of(const Gate& gate);

  const Bound& only() const { return bounds_.front(); }
  bool has_field() const { return !only().limit_field.empty(); }
  // The limit is an upper one: larger values are worse.
  bool upper() const;
  // NaN keeps no bound.
  bool holds(double value) const;
  // How far the value is from breaking a bound, negative where it does; of NaN the least. Numbers
  // alone.
  double room(double value) const;
  std::string text() const;  // "<= 2", ">= 0.9, <= 1.1"

  // SQL for values that are SQL: whether the value keeps every bound (0 for what is no number), and
  // an order in which the worst comes first.
  std::string holds_sql(const std::string& value) const;
  std::string order_sql(const std::string& value) const;

 private:
  std::vector<Bound> bounds_;
};

bool compares(double value, std::string_view compare, double limit);
std::string compare_sign(std::string_view compare);  // le -> "<="

}  // namespace greta::store
