#pragma once
// What only one side of a diff has: arms, records, and fields of records that both have.

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "compare/run_records.h"
#include "store/diff.h"

namespace greta::store {

class OneSidedNotes {
 public:
  void say(OneSided what);  // once
  void arm(char side, const std::string& variant, int64_t records);
  void records(const KindInfo& kind, char side, const std::vector<const DiffRecord*>& records);
  // A record of the kind that both sides have, and a field of it that only one has there. `field`
  // is an index into the kind's fields.
  void matched(const KindInfo& kind);
  void field(const KindInfo& kind, size_t field, char side, const std::string& key);

  // Fills Diff::one_sided and its counts.
  void finish(Diff& diff);

 private:
  struct Field {
    int64_t records = 0;
    std::string first;  // key of the first of them
  };
  struct Kind {
    KindInfo kind;
    int64_t matched = 0;
    std::map<std::pair<char, size_t>, Field> fields;
  };
  Kind& of(const KindInfo& kind);
  void say_fields(const Kind& kind, Diff& diff);

  std::vector<OneSided> said_;
  std::map<std::pair<char, std::string>, int64_t> arms_;  // side and variant → records
  int64_t records_a_ = 0, records_b_ = 0;
  std::vector<Kind> kinds_;  // in the order in which they were met
};

}  // namespace greta::store
