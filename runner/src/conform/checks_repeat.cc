// The same question, asked again: alone, and beside others.

#include "conform/trial.h"
#include "spec/adapter.h"

namespace greta::runner {
namespace {

constexpr const char* kAlone = "Same question, same answer";

Result<Outcome> equal_runs_are_equal(Trial& trial) {
  TRY_ASSIGN(const Schema* const schema, trial.schema());
  Call call;
  for (const Prompt& prompt : trial.subject().spec().prompts) call.prompts.push_back(prompt.id);
  if (trial.subject().one_by_one()) call.prompts = {"hello"};
  ReadRecords runs[2];
  for (ReadRecords& records : runs) {
    TRY_ASSIGN(const Answer answer, trial.subject().call(call));
    if (!answer.finished.ok()) return skipped("the run failed");
    TRY_ASSIGN(records, trial.records_of(answer));
  }
  if (trial.subject().one_by_one()) call.prompts = {""};  // its records name no request
  for (const std::string& id : call.prompts) {
    if (const auto other = first_difference(*schema, runs[0], id, runs[1], id)) {
      return failed("two equal runs with equal records, timings and addresses apart", *other);
    }
  }
  return passed();
}

Result<Outcome> neighbours_do_not_matter(Trial& trial) {
  if (trial.subject().one_by_one()) return skipped("each request has a process of its own");
  TRY_ASSIGN(const Schema* const schema, trial.schema());
  TRY_ASSIGN(const BaseRun* const base, trial.base());
  if (!base->ok()) return skipped("the run failed");
  Call call;
  call.prompts = {"after"};
  TRY_ASSIGN(const Answer answer, trial.subject().call(call));
  if (!answer.finished.ok()) {
    return failed("exit 0 for one request alone",
                  how_it_ended(answer.finished) + ": " + answer.said);
  }
  TRY_ASSIGN(const ReadRecords alone, trial.records_of(answer));
  if (const auto other = first_difference(*schema, alone, "after", base->records, "after")) {
    return failed("a request alone and the same behind others with equal records", *other);
  }
  return passed();
}

}  // namespace

const std::vector<Check>& repeat_checks() {
  static const std::vector<Check> kChecks = {
      {"repeatable", "two equal runs give equal records", kAlone, false, equal_runs_are_equal},
      {"neighbours", "an answer does not depend on the requests before it", kAlone, false,
       neighbours_do_not_matter},
  };
  return kChecks;
}

}  // namespace greta::runner
