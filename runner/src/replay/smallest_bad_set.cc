#include <algorithm>

#include "replay/bisect.h"

namespace greta::runner {
namespace {

using Set = std::vector<size_t>;

std::vector<Set> parts_of(const Set& all, size_t count) {
  std::vector<Set> parts(count);
  for (size_t i = 0; i < all.size(); ++i) parts[i * count / all.size()].push_back(all[i]);
  return parts;
}

Set without(const Set& all, const Set& part) {
  Set out;
  std::set_difference(all.begin(), all.end(), part.begin(), part.end(), std::back_inserter(out));
  return out;
}

}  // namespace

Result<Set> smallest_bad_set(size_t n, const std::function<Result<bool>(const Set&)>& is_bad) {
  Set bad(n);
  for (size_t i = 0; i < n; ++i) bad[i] = i;
  size_t count = 2;
  while (bad.size() > 1) {
    const std::vector<Set> parts = parts_of(bad, count);
    bool smaller = false;
    for (const Set& part : parts) {
      TRY_ASSIGN(const bool still, is_bad(part));
      if (!still) continue;
      bad = part;
      count = 2;
      smaller = true;
      break;
    }
    // With two parts the rest of one is the other, which was asked.
    for (size_t i = 0; !smaller && count > 2 && i < parts.size(); ++i) {
      const Set rest = without(bad, parts[i]);
      TRY_ASSIGN(const bool still, is_bad(rest));
      if (!still) continue;
      bad = rest;
      count = std::max<size_t>(count - 1, 2);
      smaller = true;
    }
    if (smaller) continue;
    if (count == bad.size()) break;
    count = std::min(count * 2, bad.size());
  }
  return bad;
}

}  // namespace greta::runner
