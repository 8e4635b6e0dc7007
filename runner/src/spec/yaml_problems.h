#pragma once
// Mistakes of a file, gathered: a person who fixes a spec wants to see all of them at once.

#include <string>
#include <vector>

#include "contract/result.h"
#include "spec/spec.h"

namespace greta::runner {

class Problems {
 public:
  void add(const Place& place, std::string message);
  void add(const Error& error);
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }

  // One Error for all: the place of the first, its message a line for each (at most kMost), files
  // in the order of their first mistake, lines ascending. Never call it when empty.
  Error error() const;

  static constexpr size_t kMost = 20;

 private:
  std::vector<Error> entries_;
};

// "experiments/x.yaml:3:7"
std::string to_string(const Place& place);

}  // namespace greta::runner
