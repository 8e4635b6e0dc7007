#pragma once
// The records of one kind in one run, by what they are about: variant, prompt, and the kind's keys.
// Repeats of the same record lie side by side.

#include <map>
#include <string>
#include <vector>

#include "compare/run_info.h"

namespace greta::store {

// Where a record stands in the execution of a model: sorts by forward pass, layer, point in the
// layer, head, position.
struct Place {
  double step = 0, layer = 0, point = 0, head = 0, position = 0;
  auto operator<=>(const Place&) const = default;
};

// Which of the repeats of a record: those of one run are told apart by their number. Runs of one
// group have the same of everything that could change a result, so that what lies between them is
// noise.
struct RepeatId {
  int64_t group = 0, run = 0, number = 0;
  auto operator<=>(const RepeatId&) const = default;
};
struct Repeat {
  int64_t record = 0;         // its number in the store: runs that share a bundle share its records
  std::vector<Value> values;  // one for every field of the kind
};

struct DiffRecord {
  std::string prompt;                        // "" where there is none
  std::string key;                           // "prompt=p4_sys, phase=decode0, layer=31"
  std::map<std::string, std::string> parts;  // the same, by column
  Place place;
  std::map<RepeatId, Repeat> repeats;
  const std::vector<Value>& first() const { return repeats.begin()->second.values; }
};

class RecordSet {
 public:
  static Result<RecordSet> load(Store& store, int64_t run, const KindInfo& kind);
  // Of several runs at once; `groups`: run's name → its group.
  static Result<RecordSet> load(Store& store, const std::map<std::string, int64_t>& groups,
                                const KindInfo& kind);

  using Records = std::map<std::string, DiffRecord>;  // by key
  const Records& of_variant(const std::string& variant) const;
  // Whether any record of the variant names a value of this key column.
  bool has_key(const std::string& variant, const std::string& column) const;
  // The records with one key column taken away, for a side that knows no heads: a figure survives
  // when all the records that fall together agree on it (booleans: when all are true, else false).
  Records without_key(const std::string& variant, const std::string& column,
                      const KindInfo& kind) const;

 private:
  void add(const KindInfo& kind, const std::vector<std::string>& keys, std::vector<Value> row,
           RepeatId id);

  std::map<std::string, Records> by_variant_;
};

}  // namespace greta::store
