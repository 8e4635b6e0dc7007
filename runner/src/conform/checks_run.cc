// One run of all prompts: what `greta run` would call it, and what it left.

#include <algorithm>
#include <set>

#include "conform/trial.h"
#include "contract/text.h"
#include "spec/adapter.h"
#include "system/files.h"
#include "system/json.h"

namespace greta::runner {
namespace {
constexpr const char* kRunUsage = "ENGINE run";
constexpr const char* kHolds = "What DIR holds afterwards";

// The process itself: not what it left.
Result<Outcome> answers_all_requests(Trial& trial) {
  TRY_ASSIGN(const BaseRun* const base, trial.base());
  for (const Attempt& attempt : base->attempts) {
    const Manifest& m = attempt.manifest;
    if (m.exit_code == 0 && m.status != "timeout" && m.status != "killed") continue;
    std::string asked;
    for (const BundleCell& cell : m.cells) asked += (asked.empty() ? "" : ", ") + cell.request;
    return failed("exit 0 for the requests " + asked, m.status + ": " + m.reason);
  }
  return passed();
}

Result<Outcome> is_ok_for_greta_run(Trial& trial) {
  TRY_ASSIGN(const BaseRun* const base, trial.base());
  for (const Attempt& attempt : base->attempts) {
    const Manifest& m = attempt.manifest;
    if (m.status != "ok" && m.exit_code != 0) return skipped("the run failed");
    if (m.status != "ok") return failed("every cell ok", m.status + ": " + m.reason);
  }
  return passed();
}

Result<Outcome> every_request_ends(Trial& trial) {
  TRY_ASSIGN(const BaseRun* const base, trial.base());
  std::map<std::string, int> ends;
  for (const ReadRecord& record : base->records.records) {
    if (record.kind == "request_end") ++ends[record.request];
  }
  for (const Prompt& prompt : trial.subject().spec().prompts) {
    const int count = ends[prompt.id];
    if (count == 1) continue;
    return failed("one request_end for each request",
                  std::to_string(count) + " for `" + prompt.id + "`");
  }
  return passed();
}

Result<Outcome> lines_are_whole(Trial& trial) {
  TRY_ASSIGN(const BaseRun* const base, trial.base());
  const std::string expected =
      trial.subject().adapted()
          ? "lines of one JSON object, no key twice"
          : "lines of one JSON object with `event` and `request`, no key twice, NaN as \"NaN\"";
  const auto& problems = base->records.problems;
  if (!problems.empty()) return failed(expected, problems[0]);
  if (base->records.records.empty()) return failed("records", "none");
  if (trial.subject().adapted()) return passed();
  std::vector<std::string> ids;
  for (const Prompt& prompt : trial.subject().spec().prompts) ids.push_back(prompt.id);
  for (const ReadRecord& record : base->records.records) {
    if (std::find(ids.begin(), ids.end(), record.request) != ids.end()) continue;
    return failed("records of the requests that were asked",
                  record.place + ": request `" + printable(record.request) + "`");
  }
  return passed();
}

Result<Outcome> records_are_as_described(Trial& trial) {
  TRY_ASSIGN(const BaseRun* const base, trial.base());
  TRY_ASSIGN(const Schema* const schema, trial.schema());
  for (const ReadRecord& record : base->records.records) {
    if (const auto wrong = misdescribed(*schema, record)) {
      return failed("kinds, fields and types as described", *wrong);
    }
  }
  return passed();
}

std::string wrong_kernel(const SortedJson& kernel) {
  if (!kernel.is_object()) return std::string("a kernel is ") + kernel.type_name();
  const SortedJson id = kernel.value("id", SortedJson());
  if (!id.is_string()) return "a kernel without `id`";
  const std::string name = "kernel " + printable(id.get<std::string>());
  const SortedJson hash = kernel.value("code_hash", SortedJson());
  if (!hash.is_string() || hash.get<std::string>().size() != 16 ||
      hash.get<std::string>().find_first_not_of("0123456789abcdef") != std::string::npos) {
    return name + ": code_hash " + printable(hash.dump()) + " is no 16 hex digits";
  }
  const SortedJson launches = kernel.value("launches", SortedJson());
  if (!launches.is_number_integer() || launches.get<int64_t>() < 1) {
    return name + ": launches " + launches.dump();
  }
  return {};
}

// What a run's effective.json lacks, against the description; "" where it is complete.
std::string wrong_effective(const SortedJson& effective, const Description& described) {
  for (const char* key : {"contract_version", "engine"}) {
    const SortedJson ours = effective.value(key, SortedJson()),
                     theirs = described.json->value(key, SortedJson());
    if (ours != theirs)
      return std::string(key) + " " + ours.dump() + ", described " + theirs.dump();
  }
  bool available = false;
  for (const SortedJson& one : described.json->value("backends", SortedJson::array())) {
    available |= one.is_object() &&
                 one.value("name", SortedJson()) == effective.value("backend", SortedJson()) &&
                 one.value("available", SortedJson()) == true;
  }
  if (!available) {
    return "backend " + effective.value("backend", SortedJson()).dump() + " is no available one";
  }
  if (!effective.value("injected", SortedJson()).is_string()) return "no text under `injected`";
  if (!effective.value("flags", SortedJson()).is_array()) return "no list under `flags`";
  if (!effective.value("kernels", SortedJson()).is_array()) return "no list under `kernels`";
  std::map<std::string, int> seen;
  for (const SortedJson& flag : effective["flags"]) {
    if (!flag.is_object() || !flag.value("name", SortedJson()).is_string())
      return "a flag without `name`";
    const std::string name = flag["name"];
    ++seen[name];
    if (!flag.value("value", SortedJson()).is_string()) return name + ": `value` is no text";
    const SortedJson source = flag.value("source", SortedJson());
    if (source != "env" && source != "default") return name + ": source " + source.dump();
    if (!flag.value("read", SortedJson()).is_boolean()) return name + ": `read` is no boolean";
  }
  for (const SortedJson& flag : described.flags) {
    const std::string name = flag["name"];
    if (seen[name] != 1) return name + " " + std::to_string(seen[name]) + " times";
    seen.erase(name);
  }
  for (const auto& [name, count] : seen) return name + " is not in the table of describe";
  for (const SortedJson& kernel : effective["kernels"]) {
    if (auto wrong = wrong_kernel(kernel); !wrong.empty()) return wrong;
  }
  return {};
}

Result<SortedJson> effective_of(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::exists(folder / "out/effective.json", error)) return SortedJson();
  TRY_ASSIGN(const std::string text, read_file(folder / "out/effective.json"));
  return SortedJson::parse(text, nullptr, false);
}

constexpr const char* kEffective =
    "effective.json: contract_version and engine as described, backend, injected, every flag with "
    "value, source (env, default) and read, kernels";

Result<Outcome> effective_is_complete(Trial& trial) {
  TRY_ASSIGN(const BaseRun* const base, trial.base());
  TRY_ASSIGN(const Description* const described, trial.description());
  if (!described->json) return skipped("nothing was described");
  TRY_ASSIGN(const SortedJson effective, effective_of(base->attempts.at(0).bundle));
  if (effective.is_null()) return failed(kEffective, "no such file");
  if (!effective.is_object()) return failed(kEffective, "no JSON object");
  if (auto wrong = wrong_effective(effective, *described); !wrong.empty()) {
    return failed(kEffective, wrong);
  }
  return passed();
}

// A flag set to what it is anyway must change its source and nothing else.
Result<Outcome> effective_shows_a_flag(Trial& trial) {
  TRY_ASSIGN(const SortedJson* const flag, trial.some_flag());
  if (flag == nullptr) return skipped("the flag table has none with a value to set");
  const std::string name = (*flag)["name"], value = (*flag)["default"];
  Call call;
  call.prompts = {"hello"};
  call.flags = {{name, value}};
  TRY_ASSIGN(const Answer answer, trial.subject().call(call));
  if (!answer.finished.ok())
    return failed("exit 0 with " + name + "=" + value, how_it_ended(answer.finished));
  TRY_ASSIGN(const SortedJson effective, effective_of(answer.folder));
  const std::string expected = name + " with the value `" + value + "` and the source `env`";
  if (!effective.is_object()) return failed(expected, "no effective.json");
  for (const SortedJson& row : effective.value("flags", SortedJson::array())) {
    if (!row.is_object() || row.value("name", SortedJson()) != name) continue;
    if (row.value("value", SortedJson()) == value && row.value("source", SortedJson()) == "env")
      return passed();
    return failed(expected, row.dump());
  }
  return failed(expected, "no such flag in effective.json");
}

// The phases of the records of one request; empty where no record has any.
std::set<std::string> phases_of(const ReadRecords& records) {
  std::set<std::string> out;
  for (const ReadRecord& record : records.records) {
    const auto phase = record.json.find("phase");
    if (phase != record.json.end() && phase->is_string()) out.insert(phase->get<std::string>());
  }
  return out;
}

bool ended_early(const ReadRecords& records) {
  return std::any_of(records.records.begin(), records.records.end(), [](const ReadRecord& one) {
    const auto why = one.json.find("stop_reason");
    return one.kind == "request_end" && why != one.json.end() && *why != "max_tokens";
  });
}

// One request of so many tokens: its phases and its count of tokens.
Result<Outcome> expect_tokens(Trial& trial, const Call& call, int64_t tokens) {
  TRY_ASSIGN(const Answer answer, trial.subject().call(call));
  if (!answer.finished.ok())
    return failed("exit 0", how_it_ended(answer.finished) + ": " + answer.said);
  TRY_ASSIGN(const ReadRecords records, trial.records_of(answer));
  if (ended_early(records)) return skipped("the answer ended before its second token");
  const auto phases = phases_of(records);
  if (phases.empty()) return skipped("no record has a `phase`");
  const std::set<std::string> expected = tokens == 1
                                             ? std::set<std::string>{"prefill_last"}
                                             : std::set<std::string>{"decode0", "prefill_last"};
  if (phases != expected) {
    return failed("phases " + joined({expected.begin(), expected.end()}) + " for " +
                      std::to_string(tokens) + " tokens",
                  joined({phases.begin(), phases.end()}));
  }
  for (const ReadRecord& record : records.records) {
    const auto generated = record.json.find("generated_tokens");
    if (record.kind != "request_end" || generated == record.json.end()) continue;
    if (*generated != tokens) {
      return failed("generated_tokens " + std::to_string(tokens), generated->dump());
    }
  }
  return passed();
}

Result<Outcome> max_tokens_counts(Trial& trial) {
  if (trial.subject().adapted() && !mentions(trial.subject().adapter(), "max_tokens")) {
    return skipped("the adapter does not mention {max_tokens}");
  }
  Call call;
  call.prompts = {"hello"};
  call.max_tokens = 1;
  TRY_ASSIGN(Outcome one, expect_tokens(trial, call, 1));
  if (one.state != CheckState::pass) return one;
  call.max_tokens = 2;
  return expect_tokens(trial, call, 2);
}

Result<Outcome> a_request_says_how_many(Trial& trial) {
  Call call;
  call.requests = "{\"id\":\"hello\",\"text\":\"The capital of Argentina is\",\"max_tokens\":2}\n";
  call.max_tokens = 1;
  return expect_tokens(trial, call, 2);
}

}  // namespace

const std::vector<Check>& run_checks() {
  static const std::vector<Check> kChecks = {
      {"run", "it answers texts and tokens in one process", kRunUsage, false, answers_all_requests},
      {"outputs", "`greta run` would call the attempt ok", kHolds, false, is_ok_for_greta_run},
      {"request_end", "every request has one request_end", kHolds, true, every_request_ends},
      {"records", "records are whole lines of JSON", kHolds, false, lines_are_whole},
      {"described", "records are as they are described", "ENGINE describe --json", true,
       records_are_as_described},
      {"effective", "effective.json is complete", kHolds, true, effective_is_complete},
      {"flag_source", "effective.json says where a flag's value comes from", kHolds, true,
       effective_shows_a_flag},
      {"max_tokens", "1 token is prefill_last, 2 add decode0", kRunUsage, false, max_tokens_counts},
      {"request_max_tokens", "a request's max_tokens goes before the command line's", kRunUsage,
       true, a_request_says_how_many},
  };
  return kChecks;
}

}  // namespace greta::runner
