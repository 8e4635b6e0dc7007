#pragma once
// What makes a probe of a bisection good or bad: the gates that the good run passes and the bad one
// does not; where there are none, whether its figures are those of the good run.

#include <string>
#include <vector>

#include "store/diff.h"

namespace greta::runner {

enum class Judgement { good, bad, unknown };
std::string to_string(Judgement judgement);

struct Judged {
  Judgement judgement = Judgement::unknown;
  std::string why;  // one line
};

class Judge {
 public:
  // `gate`: one that decides alone; "" finds those that tell the two apart. Errors: the two do not
  // differ, or cannot be compared.
  static Result<Judge> between(store::Store& store, const store::Side& good, const store::Side& bad,
                               const std::string& gate);
  Result<Judged> judge(store::Store& store, int64_t run) const;
  // "by the gates a, b", "by its figures, compared with the good run's".
  std::string how() const;
  const std::vector<std::string>& gates() const { return gates_; }

 private:
  Judge(store::Side good, std::vector<std::string> gates, bool cells_failed)
      : good_(std::move(good)), gates_(std::move(gates)), cells_failed_(cells_failed) {}
  store::Side good_;
  std::vector<std::string> gates_;
  bool cells_failed_ = false;  // the bad run is bad because its cells did not end ok
};

}  // namespace greta::runner
