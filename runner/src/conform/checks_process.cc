// The process among others: signals, what it leaves behind, where it writes.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <set>

#include "conform/trial.h"
#include "system/files.h"
#include "system/json.h"

namespace greta::runner {
namespace {
namespace fs = std::filesystem;
constexpr const char* kSignals = "Signals and processes";
constexpr const char* kWrites = "ENGINE run";
// More than any engine answers before it is stopped.
constexpr int kManyRequests = 20'000, kManyTokens = 64;
constexpr double kLongestWait_s = 10;

std::string many_requests(int count) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    char id[16];
    std::snprintf(id, sizeof id, "s%05d", i);  // ids of one length: an engine may count bytes
    out += SortedJson({{"id", id}, {"text", "The capital of Argentina is"}}).dump() + "\n";
  }
  return out;
}

// What a stopped process left, against the same request run to its end.
Result<Outcome> judge_stopped(Trial& trial, const Answer& stopped, const ReadRecords& whole) {
  TRY_ASSIGN(const Outputs outputs, inspect_outputs(stopped.folder, trial.subject().adapter()));
  if (outputs.ended_requests.empty()) {
    return skipped("SIGTERM ended it before a request was complete: nothing to compare");
  }
  if (!outputs.problems.empty() && !outputs.only_torn_tails) {
    return failed("whole lines, but for a last one", outputs.problems[0]);
  }
  TRY_ASSIGN(const ReadRecords records, trial.records_of(stopped));
  if (!records.problems.empty()) return failed("whole records", records.problems[0]);
  TRY_ASSIGN(const Schema* const schema, trial.schema());
  std::set<std::string> ids = outputs.ended_requests;
  // First, last and some between: comparing all of thousands says no more.
  std::vector<std::string> some(ids.begin(), ids.end());
  for (size_t i = 0; i < some.size(); i += std::max<size_t>(1, some.size() / 8)) {
    if (const auto other = first_difference(*schema, whole, "s00000", records, some[i])) {
      return failed("every record of a request that has its request_end",
                    "`" + some[i] + "` against the same request run to its end: " + *other);
    }
  }
  if (!some.empty()) {
    if (const auto other = first_difference(*schema, whole, "s00000", records, some.back())) {
      return failed("every record of a request that has its request_end",
                    "`" + some.back() + "` against the same request run to its end: " + *other);
    }
  }
  return passed();
}

Result<Outcome> stops_when_told(Trial& trial) {
  const bool adapted = trial.subject().adapted();
  if (trial.subject().one_by_one()) return skipped("a process of one request is soon over");
  Call call;
  call.max_tokens = kManyTokens;
  call.requests = many_requests(1);
  TRY_ASSIGN(const Answer first, trial.subject().call(call));
  TRY_ASSIGN(const ReadRecords whole, trial.records_of(first));
  call.requests = many_requests(kManyRequests);
  const auto start = std::chrono::steady_clock::now();
  call.stop = [&](const fs::path& out) {
    std::error_code error;
    const auto bytes = fs::file_size(out / "request_end.jsonl", error);
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
    return (!error && bytes > 0) || waited.count() > kLongestWait_s;
  };
  TRY_ASSIGN(const Answer stopped, trial.subject().call(call));
  const Finished& end = stopped.finished;
  if (end.stop == Stop::none) {
    if (!end.ok()) return failed("a process that runs until it is stopped", how_it_ended(end));
    return skipped("it answered everything before it could be stopped");
  }
  const std::string expected = "an end by SIGTERM within 3 s: exit 143, or by the signal itself";
  if (end.signal == SIGKILL || end.exit_code == 128 + SIGKILL) {
    return failed(expected, "only SIGKILL ended it");
  }
  const bool by_signal = end.signal == SIGTERM || end.exit_code == 128 + SIGTERM;
  if (!by_signal && !adapted) {
    const bool all = end.exit_code == 0;
    return failed(expected, all ? "exit 0, as if all had been answered"
                                : "exit " + std::to_string(end.exit_code));
  }
  if (adapted) return passed();
  return judge_stopped(trial, stopped, whole);
}

Result<Outcome> leaves_no_process(Trial& trial) {
  if (trial.subject().executor().isolated()) return skipped("a container ends with its engine");
  Call call;
  call.prompts = {"hello"};
  TRY_ASSIGN(const Answer answer, trial.subject().call(call));
  if (!answer.finished.ok()) return skipped("the run failed");
  if (!answer.finished.left_running) return passed();
  return failed("nothing that runs on after the engine has ended", "a process that it had started");
}

Result<Outcome> writes_to_its_folder_alone(Trial& trial) {
  const Snapshot before = trial.subject().surroundings();
  Call call;
  for (const Prompt& prompt : trial.subject().spec().prompts) call.prompts.push_back(prompt.id);
  if (trial.subject().one_by_one()) call.prompts = {"hello"};
  TRY_ASSIGN(const Answer answer, trial.subject().call(call));
  const std::string expected = "files below --out and nowhere else";
  if (!answer.finished.ok()) {
    // In a container the rest cannot be written: the engine fails where it tries.
    return failed(expected, how_it_ended(answer.finished) + ": " + answer.said);
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(answer.folder, error)) {
    static const std::set<std::string> kOurs = {"out", "requests.jsonl", "prompt.txt", "stdout.log",
                                                "stderr.log"};
    const std::string name = entry.path().filename().string();
    if (!kOurs.contains(name)) return failed(expected, entry.path().string());
  }
  const Snapshot after = trial.subject().surroundings();
  for (const auto& [path, what] : after) {
    const auto at = before.find(path);
    if (at == before.end()) return failed(expected, "wrote " + path);
    if (at->second != what) return failed(expected, "changed " + path);
  }
  for (const auto& [path, what] : before) {
    if (!after.contains(path)) return failed(expected, "removed " + path);
  }
  return passed();
}

}  // namespace

const std::vector<Check>& process_checks() {
  static const std::vector<Check> kChecks = {
      {"writes", "it writes below --out and nowhere else", kWrites, false,
       writes_to_its_folder_alone},
      {"processes", "nothing that it started runs on", kSignals, false, leaves_no_process},
      {"stop", "SIGTERM ends it, and what looks whole is whole", kSignals, false, stops_when_told},
  };
  return kChecks;
}

}  // namespace greta::runner
