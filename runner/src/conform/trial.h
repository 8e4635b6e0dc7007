#pragma once
// What the checks share: the engine, what it says of itself, and one run of all prompts, each asked
// for once.

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "conform/records.h"
#include "conform/subject.h"

namespace greta::runner {

struct Outcome {
  CheckState state = CheckState::pass;
  std::string reason, expected, got;
};
inline Outcome passed() { return {}; }
inline Outcome skipped(std::string why) { return {CheckState::skipped, std::move(why), {}, {}}; }
inline Outcome failed(std::string expected, std::string got) {
  return {CheckState::fail, {}, std::move(expected), std::move(got)};
}

struct Description {
  Answer answer;
  std::string text;
  std::optional<nlohmann::json> json;  // absent: no JSON object was printed
  std::vector<nlohmann::json> flags;   // the rows of the table that are objects with a name
};

// One run of all prompts, whole or not.
struct BaseRun {
  std::vector<Attempt> attempts;  // one; behind an adapter that asks one by one, one a prompt
  Outputs outputs;                // of all of them
  ReadRecords records;
  bool ok() const;
};

class Trial {
 public:
  explicit Trial(Subject& subject) : subject_(subject) {}
  Subject& subject() { return subject_; }
  Result<const Description*> description();
  Result<const BaseRun*> base();
  // The engine's own description of its records where it is one, else greta's kinds.
  Result<const Schema*> schema();
  // The files and records of one process.
  Result<ReadRecords> records_of(const Answer& answer);
  // A flag of the table that the user did not set, with a value that can be wrong; null: none.
  Result<const nlohmann::json*> some_flag();

 private:
  Subject& subject_;
  std::optional<Description> description_;
  std::optional<BaseRun> base_;
  std::optional<Schema> schema_;
};

struct Check {
  const char *id, *what, *section;
  bool contract;  // asked only of engines that keep the contract themselves
  Result<Outcome> (*run)(Trial&);
};
// In the order in which they run.
const std::vector<Check>& describe_checks();
const std::vector<Check>& run_checks();
const std::vector<Check>& refusal_checks();
const std::vector<Check>& repeat_checks();
const std::vector<Check>& process_checks();

}  // namespace greta::runner
