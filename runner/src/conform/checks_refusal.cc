// What an engine must not swallow: each is refused with its exit code and a line on stderr.

#include <algorithm>

#include "conform/trial.h"
#include "contract/text.h"
#include "spec/adapter.h"
#include "system/files.h"

namespace greta::runner {
namespace {

constexpr const char* kRun = "ENGINE run";
constexpr const char* kExit = "Exit codes";
constexpr const char* kUnknownFlag = "GRETA_CONFORM_UNKNOWN";

std::string codes_text(const std::vector<int>& codes) {
  std::string out;
  for (const int code : codes) out += (out.empty() ? "exit " : " or ") + std::to_string(code);
  return out;
}

// The process ends with one of the codes, says why, and leaves nothing that looks like a result.
Result<Outcome> refused(Trial& trial, const Call& call, const std::vector<int>& codes,
                        const std::string& named = "") {
  TRY_ASSIGN(const Answer answer, trial.subject().call(call));
  const std::string expected =
      codes_text(codes) + " and a line on stderr" + (named.empty() ? "" : " that names " + named);
  const Finished& end = answer.finished;
  const std::string got =
      how_it_ended(end) +
      ", stderr: " + (answer.said.empty() ? "nothing" : "`" + printable(answer.said, 200) + "`");
  const bool code_fits = end.stop == Stop::none && end.signal == 0 &&
                         std::find(codes.begin(), codes.end(), end.exit_code) != codes.end();
  if (!code_fits || answer.said.empty()) return failed(expected, got);
  TRY_ASSIGN(const std::string all, read_file(answer.folder / "stderr.log"));
  if (all.find(named) == std::string::npos) return failed(expected, got);
  TRY_ASSIGN(const Outputs outputs, inspect_outputs(answer.folder, trial.subject().adapter()));
  if (!outputs.ended_requests.empty()) {
    return failed("no request_end of what was refused",
                  "request_end of `" + printable(*outputs.ended_requests.begin()) + "`");
  }
  return passed();
}

Call hello() {
  Call call;
  call.prompts = {"hello"};
  return call;
}

Result<Outcome> unknown_option(Trial& trial) {
  Call call = hello();
  call.arguments = {"--no-such-option", "1"};
  return refused(trial, call, {2});
}

Result<Outcome> unknown_flag(Trial& trial) {
  Call call = hello();
  call.flags = {{kUnknownFlag, "1"}};
  return refused(trial, call, {2}, kUnknownFlag);
}

Result<Outcome> flag_value(Trial& trial) {
  TRY_ASSIGN(const nlohmann::json* const flag, trial.some_flag());
  if (flag == nullptr) return skipped("no flag of the table has values that could be wrong");
  const std::string name = (*flag)["name"];
  Call call = hello();
  call.flags = {{name, "no such value"}};
  return refused(trial, call, {2}, name);
}

Result<Outcome> missing_model(Trial& trial) {
  Call call = hello();
  call.model_missing = true;
  if (!trial.subject().adapted()) return refused(trial, call, {3});
  if (!mentions(trial.subject().adapter(), "model")) {
    return skipped("the adapter does not mention {model}");
  }
  TRY_ASSIGN(const Answer answer, trial.subject().call(call));
  if (answer.finished.ok()) return failed("an exit code that is not 0", "exit 0");
  return passed();
}

Result<Outcome> damaged_request(Trial& trial) {
  Call call = hello();
  call.requests =
      "{\"id\":\"hello\",\"text\":\"The capital of Argentina is\"}\n{\"id\":\"cut\",\"text\":\"The "
      "ca";
  return refused(trial, call, {2, 3});
}

Result<Outcome> folder_not_empty(Trial& trial) {
  Call call = hello();
  call.out = Call::Out::not_empty;
  TRY_ASSIGN(const Outcome outcome, refused(trial, call, {2}));
  return outcome;
}

Result<Outcome> folder_unwritable(Trial& trial) {
  Call call = hello();
  call.out = Call::Out::below_a_file;
  return refused(trial, call, {2});
}

}  // namespace

const std::vector<Check>& refusal_checks() {
  static const std::vector<Check> kChecks = {
      {"unknown_option", "an unknown option is refused", kExit, true, unknown_option},
      {"unknown_flag", "an unknown GRETA_ flag is refused by name", kRun, true, unknown_flag},
      {"flag_value", "a flag's wrong value is refused by name", kRun, true, flag_value},
      {"missing_model", "a model that is not there is refused", kExit, false, missing_model},
      {"damaged_request", "a request cut short is refused before anything runs", kExit, true,
       damaged_request},
      {"folder_not_empty", "an output folder that holds something is refused", kExit, true,
       folder_not_empty},
      {"folder_unwritable", "an output folder that cannot be made is refused", kExit, true,
       folder_unwritable},
  };
  return kChecks;
}

}  // namespace greta::runner
