#include "spec/yaml_problems.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace greta::runner {

void Problems::add(const Place& place, std::string message) {
  entries_.push_back({.message = std::move(message),
                      .file = place.file,
                      .line = place.line,
                      .column = place.column});
}

void Problems::add(const Error& error) { entries_.push_back(error); }

Error Problems::error() const {
  std::map<std::string, size_t> file_order;
  for (const Error& entry : entries_) file_order.emplace(entry.file, file_order.size());
  std::vector<Error> sorted = entries_;
  std::stable_sort(sorted.begin(), sorted.end(), [&](const Error& a, const Error& b) {
    return std::tuple(file_order[a.file], a.line, a.column) <
           std::tuple(file_order[b.file], b.line, b.column);
  });
  // One mistake can be met twice, for example in a base file that two files extend.
  const auto same = [](const Error& a, const Error& b) { return a.str() == b.str(); };
  sorted.erase(std::unique(sorted.begin(), sorted.end(), same), sorted.end());
  Error out = sorted.front();
  for (size_t i = 1; i < std::min(sorted.size(), kMost); ++i) {
    out.message += "\n" + sorted[i].str();
  }
  if (sorted.size() > kMost) {
    out.message += "\n… and " + std::to_string(sorted.size() - kMost) + " more";
  }
  return out;
}

std::string to_string(const Place& place) {
  std::string out = place.file;
  if (place.line > 0) {
    out += ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
  }
  return out;
}

}  // namespace greta::runner
