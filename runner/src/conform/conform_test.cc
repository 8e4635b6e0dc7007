#include "conform/conform.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "conform/trial.h"
#include "system/files.h"
#include "system/test_folder.h"

namespace greta::runner {
namespace {

using Json = nlohmann::ordered_json;

class Conform : public testing::Test {
 protected:
  void SetUp() override {
    setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1);
    options_.engine = engines() + "contract.sh";
    options_.model = folder_.write("model.gguf", "not a model, but some bytes").string();
  }
  static std::string engines() { return std::string(RUNNER_TESTDATA) + "/engines/"; }
  static std::string page() { return *read_file(std::string(PROJECT_ROOT) + "/engine/ENGINE.md"); }

  Result<ConformReport> ask(const ConformOptions& options) {
    Progress progress({.terminal = false, .json = false, .verbosity = 0});
    const Cancel never;
    return conform(options, progress, never);
  }
  // The ids of the checks that failed and, for the message, everything that was said.
  std::vector<std::string> failures(const ConformOptions& options) {
    const auto report = ask(options);
    if (!report) return {report.error().str()};
    std::vector<std::string> out;
    said_.clear();
    for (const CheckResult& check : report->checks) {
      said_ += conform_line(check);
      if (check.state == CheckState::fail) out.push_back(check.id);
    }
    checked_ = report->checks;
    return out;
  }

  TestFolder folder_;
  ConformOptions options_;
  std::string said_;
  std::vector<CheckResult> checked_;
};

TEST_F(Conform, TheShellEngineKeepsTheContract) {
  EXPECT_EQ(failures(options_), std::vector<std::string>()) << said_;
  ASSERT_EQ(checked_.size(), conform_check_ids().size());
  for (const CheckResult& check : checked_) EXPECT_EQ(check.state, CheckState::pass) << said_;
}

TEST_F(Conform, TheEngineOfThePageKeepsIt) {
  const std::string text = page();
  const size_t heading = text.find("## A complete engine");
  const size_t start = text.find("```sh\n", heading) + 6, end = text.find("```", start);
  ASSERT_LT(end, text.size());
  folder_.write("counter", text.substr(start, end - start));
  std::filesystem::permissions(folder_ / "counter", std::filesystem::perms(0755));
  options_.engine = (folder_ / "counter").string();
  EXPECT_EQ(failures(options_), std::vector<std::string>()) << said_;
  for (const CheckResult& check : checked_) {
    const bool cannot_be_asked = check.id == "flag_source" || check.id == "flag_value" ||
                                 check.id == "max_tokens" || check.id == "request_max_tokens";
    EXPECT_EQ(check.state, cannot_be_asked ? CheckState::skipped : CheckState::pass) << said_;
  }
}

// Every section that a failure points at is in the page, and every check is named there.
TEST_F(Conform, ThePageHasWhatFailuresPointAt) {
  const std::string text = page();
  for (const auto* group : {&describe_checks(), &run_checks(), &refusal_checks(), &repeat_checks(),
                            &process_checks()}) {
    for (const Check& check : *group) {
      EXPECT_NE(text.find(std::string("# ") + check.section + "\n"), std::string::npos)
          << check.section;
      EXPECT_NE(text.find(std::string("`") + check.id + "`"), std::string::npos) << check.id;
    }
  }
}

struct Misbehaviour {
  const char *behave, *check, *got;
};
class Misbehaving : public Conform, public testing::WithParamInterface<Misbehaviour> {};

TEST_P(Misbehaving, IsCaughtByItsCheck) {
  const auto& test = GetParam();
  options_.flags = {{"GRETA_BEHAVE", test.behave}};
  options_.only = {test.check};
  options_.timeout_s = std::string(test.check) == "run" ? 1 : 10;
  EXPECT_EQ(failures(options_), std::vector<std::string>{test.check}) << said_;
  EXPECT_NE(said_.find(test.got), std::string::npos) << said_;
}

INSTANTIATE_TEST_SUITE_P(
    Host, Misbehaving,
    testing::Values(Misbehaviour{"crash", "run", "crashed with signal 11"},
                    Misbehaviour{"hang", "run", "timed out after 1.0 s"},
                    Misbehaviour{"deaf", "run", "timed out after 1.0 s"},
                    Misbehaviour{"torn", "run", "crashed with signal 6"},
                    Misbehaviour{"fill", "run", "output limit"},
                    Misbehaviour{"complain", "run", "exit 3: greta-engine: no such weight"},
                    Misbehaviour{"link", "outputs", "not a regular file"},
                    Misbehaviour{"not_json", "records", "readout.jsonl:1: not JSON"},
                    Misbehaviour{"bare_nan", "records", "a bare NaN or infinity"},
                    Misbehaviour{"twice", "records", "the key `gap` twice"},
                    Misbehaviour{"stranger", "records", "request `nobody`"},
                    Misbehaviour{"no_end", "request_end", "0 for `hello`"},
                    Misbehaviour{"undescribed", "described", "readout.margin is not described"},
                    Misbehaviour{"wrong_type", "described",
                                 "top1_id is described as integer and is"},
                    Misbehaviour{"no_effective", "effective", "no such file"},
                    Misbehaviour{"lies", "effective", "GRETA_BEHAVE_AT 0 times"},
                    Misbehaviour{"one_token", "max_tokens", "came      prefill_last"},
                    Misbehaviour{"own_tokens", "request_max_tokens", "came      prefill_last"},
                    Misbehaviour{"any_option", "unknown_option", "exit 0"},
                    Misbehaviour{"any_flag", "unknown_flag", "exit 0"},
                    Misbehaviour{"any_value", "flag_value", "exit 0"},
                    Misbehaviour{"any_model", "missing_model", "exit 0"},
                    Misbehaviour{"any_request", "damaged_request", "exit 0"},
                    Misbehaviour{"any_folder", "folder_not_empty", "exit 0"},
                    Misbehaviour{"changing", "repeatable", "readout.top1_id"},
                    Misbehaviour{"neighbour", "neighbours", "readout.top1_id"},
                    Misbehaviour{"beside", "writes", "greta-was-here"},
                    Misbehaviour{"fork", "processes", "a process that it had started"},
                    Misbehaviour{"early_end", "stop", "against the same request run to its end"},
                    Misbehaviour{"exit_0", "stop", "exit 0, as if all had been answered"}),
    [](const auto& test) { return std::string(test.param.behave); });

TEST_F(Conform, AnEngineThatOnlySigkillEndsIsNamed) {
  options_.flags = {{"GRETA_BEHAVE", "deaf"}, {"GRETA_BEHAVE_AT", "s00001"}};
  options_.only = {"stop"};
  EXPECT_EQ(failures(options_), std::vector<std::string>{"stop"});
  EXPECT_NE(said_.find("only SIGKILL ended it"), std::string::npos) << said_;
}

// /greta-was-here: only root can make it.
TEST_F(Conform, AFileInTheRootOfTheSystemIsSeen) {
  options_.flags = {{"GRETA_BEHAVE", "outside"}};
  options_.only = {"writes"};
  EXPECT_EQ(failures(options_), std::vector<std::string>{"writes"});
  EXPECT_NE(said_.find("/greta-was-here"), std::string::npos) << said_;
  std::error_code ignored;
  std::filesystem::remove("/greta-was-here", ignored);
}

// contract.sh with another description: the checks of `describe`, each with its fault.
TEST_F(Conform, DescriptionsAreChecked) {
  const Json good = [&] {
    Progress progress({.terminal = false, .json = false, .verbosity = 0});
    const Cancel never;
    auto subject = Subject::open(options_, progress, never);
    Trial trial(*subject);
    return Json::parse((*trial.description())->text);
  }();
  const struct {
    const char *check, *path, *value, *got;  // value "": the part is taken away
  } cases[] = {
      {"describe", "/contract_version", "2", "came      2"},
      {"describe_parts", "/engine", "", "engine is missing"},
      {"describe_parts", "/build/dirty", "\"no\"", "build.dirty is string"},
      {"describe_parts", "/backends/0/available", "false", "backends[0].why is missing"},
      {"describe_parts", "/backends", "[]", "no backend is available"},
      {"describe_parts", "/records", "", "records is missing"},
      {"flag_table", "/flags/0/type", "\"chioce\"", "(did you mean `choice`?)"},
      {"flag_table", "/flags/0/name", "\"BEHAVE\"", "does not start with GRETA_"},
      {"flag_table", "/flags/1/name", "\"GRETA_STORE\"", "belongs to greta"},
      {"flag_table", "/flags/1/name", "\"GRETA_SCALE\"", "GRETA_SCALE twice"},
      {"flag_table", "/flags/0/choices", "[]", "without choices"},
      {"flag_table", "/flags/2/default", "\"3\"", "wants one of 1, 2, got `3`"},
      {"flag_table", "/flags/2/doc", "\"\"", "doc is empty"},
      {"record_kinds", "/records/kinds/readout/fields/0/type", "\"txt\"", "txt"},
      {"record_kinds", "/records/kinds/readout/fields/0/role", "\"clef\"", "clef"},
      {"record_kinds", "/records/kinds/request_end", "", "request_end"},
  };
  folder_.script("engine",
                 "[ \"$1\" != describe ] || exec cat \"$(dirname \"$0\")/describe.json\"\nexec " +
                     engines() + "contract.sh \"$@\"\n");
  options_.engine = (folder_ / "engine").string();
  for (const auto& c : cases) {
    Json changed = good;
    const Json::json_pointer at(c.path);
    if (*c.value != 0) {
      changed[at] = Json::parse(c.value);
    } else {
      changed[at.parent_pointer()].erase(at.back());
    }
    folder_.write("describe.json", changed.dump());
    options_.only = {c.check};
    EXPECT_EQ(failures(options_), std::vector<std::string>{c.check}) << c.path << "\n" << said_;
    EXPECT_NE(said_.find(c.got), std::string::npos) << c.path << "\n" << said_;
  }
  folder_.write("describe.json", "hello\n");
  options_.only = {"describe"};
  EXPECT_EQ(failures(options_), std::vector<std::string>{"describe"});
  EXPECT_NE(said_.find("hello"), std::string::npos) << said_;
}

TEST_F(Conform, AnAdapterStandsForTheCommandLine) {
  options_.engine = folder_
                        .script("tool",
                                "[ -r \"$1\" ] || { echo no model >&2; exit 1; }\n"
                                "printf '{\"bytes\": %d, \"weird\": nan}\\n' $(wc -c <\"$2\")\n")
                        .string();
  options_.adapter =
      folder_
          .write("tool.yaml",
                 "schema: 1\nname: tool\nargv: ['{engine}', '{model}', '{prompt_file}']\n"
                 "outputs: [{glob: stdout, kind: size}]\nrequests: one\n")
          .string();
  EXPECT_EQ(failures(options_), std::vector<std::string>()) << said_;
  const auto passed = [&](const std::string& id) {
    for (const CheckResult& check : checked_)
      if (check.id == id) return check.state == CheckState::pass;
    return false;
  };
  for (const char* id : {"run", "outputs", "records", "missing_model", "repeatable", "writes"}) {
    EXPECT_TRUE(passed(id)) << id << "\n" << said_;
  }
  // A prompt that the tool does not escape breaks its own records.
  options_.engine = engines() + "foreign.sh";
  options_.adapter = engines() + "foreign.adapter.yaml";
  options_.flags = {{"MODE", "calm"}};
  options_.only = {"outputs"};
  EXPECT_EQ(failures(options_), std::vector<std::string>{"outputs"}) << said_;
}

TEST_F(Conform, MistakesOfTheCommandLineAreUsage) {
  const auto message = [&](const ConformOptions& options) {
    const auto report = ask(options);
    if (report) return std::string("no error");
    EXPECT_EQ(report.error().exit_code, 2) << report.error().str();
    return report.error().str();
  };
  ConformOptions o = options_;
  o.only = {"unknown_flg"};
  EXPECT_NE(message(o).find("did you mean `unknown_flag`?"), std::string::npos) << message(o);
  o = options_;
  o.engine = "/no/such/engine";
  EXPECT_NE(message(o).find("no program `/no/such/engine`"), std::string::npos) << message(o);
  o = options_;
  o.model = "/no/such/model";
  EXPECT_EQ(message(o), "--model: no file /no/such/model");
  o = options_;
  o.adapter = "/no/such/adapter.yaml";
  EXPECT_NE(message(o).find("no such adapter"), std::string::npos) << message(o);
  o = options_;
  o.executor = "pod";
  EXPECT_NE(message(o).find("none of podman, docker, host"), std::string::npos) << message(o);
  o = options_;
  o.keep = folder_.path().string();
  EXPECT_NE(message(o).find("is not empty"), std::string::npos) << message(o);
}

TEST_F(Conform, KeepsWhatWasRunAndSaysItAsJson) {
  options_.only = {"unknown_flag", "folder_not_empty"};
  options_.flags = {{"GRETA_BEHAVE", "any_flag"}};
  options_.keep = (folder_ / "kept").string();
  const auto report = ask(options_);
  ASSERT_TRUE(report) << report.error().str();
  EXPECT_FALSE(report->ok());
  const auto json = Json::parse(conform_json(*report));
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["checks"][0]["id"], "unknown_flag");
  EXPECT_EQ(json["checks"][0]["state"], "fail");
  EXPECT_EQ(json["checks"][0]["section"], "ENGINE run");
  EXPECT_EQ(json["checks"][1]["state"], "pass");
  EXPECT_EQ(conform_summary(*report), "contract.sh (host): 1 passed, 1 failed, 0 skipped\n");
  EXPECT_EQ(*read_file(folder_ / "kept/call2/out/kept.txt"), "mine\n");
}

}  // namespace
}  // namespace greta::runner
