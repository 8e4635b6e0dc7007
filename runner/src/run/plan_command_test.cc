#include "run/plan_command.h"

#include <gtest/gtest.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "system/context.h"
#include "system/test_folder.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;

// Runs `greta COMMAND …` inside this process and keeps what it printed.
struct Outcome {
  int exit_code = -1;
  std::string out, err;
};
Outcome run(const std::vector<std::string>& arguments, bool json = false,
            const fs::path& store = {}) {
  CLI::App app;
  Context context;
  context.json = json;
  context.store_path = store;
  register_plan(app, context);
  std::ostringstream out, err;
  std::streambuf* const cout = std::cout.rdbuf(out.rdbuf());
  std::streambuf* const cerr = std::cerr.rdbuf(err.rdbuf());
  testing::internal::CaptureStderr();
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  app.parse(reversed);
  err << testing::internal::GetCapturedStderr();
  std::cout.rdbuf(cout);
  std::cerr.rdbuf(cerr);
  return {context.exit_code, out.str(), err.str()};
}

class PlanCommand : public testing::Test {
 protected:
  void SetUp() override { fs::current_path(PROJECT_ROOT); }
};

constexpr const char* kSpec = R"(schema: 1
milestone: M
title: {en: Title}
model: {file: m.gguf}
prompts: [{id: a, text: "Hi\n"}, {id: b, tokens: [1, 2]}]
vars: {N: 2}
flags: {GRETA_TRACE_STAGE: 1}
matrix:
  GRETA_FORCE_ATTN_DECODE_KERNEL: [manual, fused]
  GRETA_FORCE_ATTN_DECODE_MATMUL: [valu]
repeat: ${N}
expect: [{id: g, metric: readout.gap, gt: 0}]
)";

TEST_F(PlanCommand, DrawsTheTree) {
  const TestFolder folder;
  const Outcome plan = run({"plan", folder.write("s.yaml", kSpec).string()});
  EXPECT_EQ(plan.exit_code, 0);
  EXPECT_EQ(plan.err, "");
  EXPECT_EQ(plan.out,
            "M  Title\n"
            "  engine   worktree of ., built in docker/rocm\n"
            "  model    m.gguf\n"
            "  decode   max_tokens 1, backend auto, numerics strict, kv_type f32, threads 2\n"
            "  flag     GRETA_TRACE_STAGE=1\n"
            "  flag     GRETA_FORCE_ATTN_DECODE_MATMUL=valu\n"
            "  ├─ GRETA_FORCE_ATTN_DECODE_KERNEL=manual\n"
            "  │  ├─ a × 2   3 bytes  \"Hi\\x0a\"\n"
            "  │  └─ b × 2   2 tokens\n"
            "  └─ GRETA_FORCE_ATTN_DECODE_KERNEL=fused\n"
            "     ├─ a × 2   3 bytes  \"Hi\\x0a\"\n"
            "     └─ b × 2   2 tokens\n"
            "  2 variants × 2 prompts × 2 repeats = 8 cells in 4 attempts (isolation: process, "
            "timeout 10m)\n"
            "  1 gate: g\n");
}

TEST_F(PlanCommand, JsonHasTheSameTotals) {
  const TestFolder folder;
  const std::string file = folder.write("s.yaml", kSpec).string();
  const Outcome plan = run({"plan", file, "experiments/smoke.yaml", "--var", "N=1"}, true);
  EXPECT_EQ(plan.exit_code, 2);  // smoke.yaml declares no N
  EXPECT_NE(plan.err.find("--var `N` is not declared in `vars`"), std::string::npos) << plan.err;
  const auto json = nlohmann::json::parse(plan.out);
  EXPECT_EQ(json["cells"], 4);
  EXPECT_EQ(json["attempts"], 2);
  EXPECT_EQ(json["specs"][0]["variants"][1]["flags"]["GRETA_FORCE_ATTN_DECODE_KERNEL"], "fused");
  EXPECT_EQ(json["specs"][0]["differs"], nlohmann::json({"GRETA_FORCE_ATTN_DECODE_KERNEL"}));
  EXPECT_EQ(json["specs"][0]["prompts"][0]["bytes"], 3);
}

TEST_F(PlanCommand, TheTotalsAreThoseOfTheRealPlan) {
  for (const Isolation isolation : {Isolation::process, Isolation::request}) {
    auto spec = load_spec("experiments/B3.21.yaml");
    ASSERT_TRUE(spec) << spec.error().str();
    spec->isolation = isolation;
    const auto plan = make_plan(*spec, {.engines = {{}}, .device = {}, .model_sha256 = {}});
    ASSERT_TRUE(plan);
    const auto json = nlohmann::json::parse(plan_json({*spec}, {plan->variants}));
    EXPECT_EQ(json["cells"], plan->cells.size());
    EXPECT_EQ(json["attempts"], plan->attempts.size());
  }
}

TEST_F(PlanCommand, LintPassesWithWarningsAndFailsWithMistakes) {
  const TestFolder folder;
  const std::string good = folder.write("good.yaml", kSpec).string();
  const std::string warned =
      folder.write("warned.yaml", std::string(kSpec) + "changes: [x]\n").string();
  EXPECT_EQ(run({"lint", good}).out, good + ": ok, 8 cells\n");

  const Outcome bad = run({"lint", good, warned});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_EQ(bad.out, good + ": ok, 8 cells\n");
  EXPECT_NE(bad.err.find(":13:10: `changes` must be a text or {en, es}, got a list"),
            std::string::npos)
      << bad.err;
  EXPECT_NE(bad.err.find("2 files: 1 wrong, 0 warnings"), std::string::npos) << bad.err;

  const std::string slip = folder
                               .write("slip.yaml",
                                      "schema: 1\nmilestone: M\nmodel: {file: m}\n"
                                      "prompts: [{id: a, text: 'x\\n'}]\n")
                               .string();
  const Outcome warning = run({"lint", slip});
  EXPECT_EQ(warning.exit_code, 0);
  EXPECT_TRUE(warning.out.starts_with("warning: " + slip + ":4:11: prompt `a` holds"))
      << warning.out;
}

TEST_F(PlanCommand, GatesAskTheStoreForTheRunsThatTheyName) {
  const TestFolder folder;
  const auto gate = [&](const std::string& partner) {
    std::string text = kSpec;
    text.erase(text.find("expect:"));
    return folder
        .write("s.yaml",
               text + "expect: [{id: g, metric: readout.gap, ratio_to: " + partner + ", le: 1}]\n")
        .string();
  };
  const fs::path file = folder.path() / "store.sqlite";
  EXPECT_EQ(run({"lint", gate("B9.99")}, false, file).out,
            folder.path().string() + "/s.yaml: ok, 8 cells\n")
      << "without a store there is nothing to ask";
  ASSERT_TRUE(store::Store::open(file, store::Access::read_write));
  const Outcome lint = run({"lint", gate("B9.99")}, false, file);
  EXPECT_EQ(lint.exit_code, 0);
  EXPECT_NE(lint.out.find("s.yaml:12:10: gate `g`: no run or milestone `B9.99`"), std::string::npos)
      << lint.out;
  EXPECT_NE(run({"plan", gate("B9.99")}, false, file).err.find("it measures nothing"),
            std::string::npos);
  EXPECT_EQ(run({"lint", gate("baseline")}, false, file).out.find("warning"), std::string::npos);
  // Known from experiments/history, which lint does not bring in.
  const std::string known = "experiments/history";
  ASSERT_TRUE(fs::exists(known));
  const Outcome recorded = run({"lint", gate("B3.21@recorded")}, false, file);
  EXPECT_EQ(recorded.out.find("warning"), std::string::npos) << recorded.out;
}

TEST_F(PlanCommand, LintChecksFlagsAgainstTheEnginesDescription) {
  const std::string spec = "runner/testdata/specs/bad/meaning/flag_unknown.yaml";
  EXPECT_EQ(run({"lint", spec}).exit_code, 0);  // cannot be known without the engine
  const Outcome lint =
      run({"lint", spec, "--engine-describe", "runner/testdata/describe.json"}, true);
  EXPECT_EQ(lint.exit_code, 2);
  const auto json = nlohmann::json::parse(lint.out);
  EXPECT_EQ(json["files"][0]["errors"],
            nlohmann::json({spec + ":7:3: the engine has no flag `GRETA_TRACE_ATTN_LAYER` (did you "
                                   "mean `GRETA_TRACE_ATTN_LAYERS`?)"}));
  EXPECT_EQ(run({"lint", spec, "--engine-describe", "runner/testdata/none.json"}).exit_code, 2);
  EXPECT_EQ(run({"lint", spec, "--engine-describe", spec}).exit_code, 2);  // not JSON
}

TEST_F(PlanCommand, LintKnowsTheOtherFilesOfAFolder) {
  EXPECT_EQ(run({"lint", "experiments/prompts.yaml"}).out,
            "experiments/prompts.yaml: ok, 19 prompts\n");
  EXPECT_EQ(run({"lint", "experiments/adapters/jsonl-tool.yaml"}).out,
            "experiments/adapters/jsonl-tool.yaml: ok, adapter `jsonl-tool`\n");
  const TestFolder folder;
  const std::string library =
      folder.write("p.yaml", "schema: 1\nprompts: [{id: a, text: x}, {id: b}]\n").string();
  const Outcome wrong = run({"lint", library});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_NE(wrong.err.find(":2:29: `prompt b` needs exactly one of `text`, `file` and `tokens`"),
            std::string::npos)
      << wrong.err;
}

TEST_F(PlanCommand, VarOptions) {
  const auto vars = parse_vars({"A=1", "B=x=y", "C="});
  ASSERT_TRUE(vars);
  EXPECT_EQ(*vars, (std::map<std::string, std::string>{{"A", "1"}, {"B", "x=y"}, {"C", ""}}));
  for (const char* bad : {"A", "=1", "A-B=1"}) {
    const auto wrong = parse_vars({bad});
    ASSERT_FALSE(wrong) << bad;
    EXPECT_EQ(wrong.error().message, "--var wants NAME=VALUE, got `" + std::string(bad) + "`");
  }
}

}  // namespace
}  // namespace greta::runner
