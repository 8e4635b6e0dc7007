// greta run with shell engines on this host, into a real store.

#include "run/run.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "run/run_fixture.h"
#include "system/lock.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;

TEST_F(Experiment, RunsOnceAndKnowsItsCellsAfterwards) {
  const auto file = spec(
      "matrix: {GRETA_SCALE: ['1', '2']}\nrepeat: 2\n"
      "expect: [{id: gap, metric: readout.gap, agg: max, le: 2.5}]\n");
  const auto first = run(file);
  ASSERT_TRUE(first) << first.error().str();
  EXPECT_EQ(*first, 0);
  EXPECT_NE(printed_.find("8 of 8 cells ok\n"), std::string::npos) << printed_;
  EXPECT_NE(printed_.find("pass   gap"), std::string::npos) << printed_;
  EXPECT_EQ(query("SELECT count(*), sum(cached) FROM cells"), "8|0\n");
  EXPECT_EQ(query("SELECT count(*) FROM bundles"), "4\n") << "one process a variant and repeat";
  EXPECT_EQ(query("SELECT DISTINCT variant, gap FROM readout ORDER BY 1"),
            "GRETA_SCALE=1|1.500000\nGRETA_SCALE=2|2.500000\n");

  const auto second = run(file);
  EXPECT_EQ(second.value_or(-1), 0);
  EXPECT_EQ(query("SELECT count(*) FROM bundles"), "4\n") << "something ran again";
  EXPECT_EQ(query("SELECT count(*), sum(cached) FROM cells"), "16|8\n");

  RunOptions force;
  force.force = true;
  EXPECT_EQ(run(file, force).value_or(-1), 0);
  EXPECT_EQ(query("SELECT count(*) FROM bundles"), "8\n");
  EXPECT_TRUE(fs::is_empty(folder_ / ".greta/tmp"));
  EXPECT_TRUE(fs::is_empty(folder_ / ".greta/locks"));
}

TEST_F(Experiment, ManyAttemptsAtOnceGiveTheSame) {
  RunOptions options;
  options.jobs = 4;
  const auto file = spec("repeat: 8\nflags: {GRETA_BEHAVE: slow}\n");
  EXPECT_EQ(run(file, options).value_or(-1), 0);
  EXPECT_EQ(query("SELECT count(*), sum(cached), sum(status = 'ok') FROM cells"), "16|0|16\n");
  EXPECT_EQ(query("SELECT count(*) FROM readout"), "16\n");
}

TEST_F(Experiment, TheSpecsEnvIsPartOfTheEnvironment) {
  EXPECT_EQ(run(spec("env: {OMP_NUM_THREADS: 8}\n")).value_or(-1), 0);
  EXPECT_EQ(query("SELECT DISTINCT value FROM environment WHERE key = 'env.OMP_NUM_THREADS'"),
            "8\n");
}

TEST_F(Experiment, AForeignEngineEntersThroughItsAdapter) {
  const auto file = spec("engine: {binary: " + engines() + "foreign.sh, adapter: " + engines() +
                         "foreign.adapter.yaml}\n" +
                         "decode: {max_tokens: 3}\nmatrix: {MODE: [calm, fail]}\n"
                         "expect:\n"
                         "  - {id: norms, metric: layer.norm, agg: max, le: 100}\n");
  const auto code = run(file);
  ASSERT_TRUE(code) << code.error().str();
  EXPECT_EQ(*code, 4) << "MODE=fail fails its cells";
  EXPECT_EQ(query("SELECT variant, prompt, status, reason FROM cells ORDER BY 1, 2"),
            "MODE=calm|a|ok|\nMODE=calm|b|ok|\n"
            "MODE=fail|a|failed|exit 9: MODE=fail asked for it\n"
            "MODE=fail|b|failed|exit 9: MODE=fail asked for it\n");
  EXPECT_EQ(query("SELECT prompt, answer, length FROM answer WHERE variant = 'MODE=calm'"),
            "a|hello|5\nb|hi there|8\n");
  EXPECT_EQ(query("SELECT count(*), max(norm) FROM layer WHERE variant = 'MODE=calm'"),
            "6|10.250000\n");
}

TEST_F(Experiment, TheOutputLimitCoversStreamsAndCutFiles) {
  for (const char* mode : {"flood", "chop"}) {
    const auto code =
        run(spec("engine: {binary: " + engines() + "foreign.sh, adapter: " + engines() +
                     "foreign.adapter.yaml}\nmatrix: {MODE: [" + mode +
                     "]}\nlimits: {output: 200KiB}\n"
                     "expect: [{id: short, metric: answer.length, agg: max, le: 100}]\n",
                 std::string("Limit_") + mode));
    ASSERT_TRUE(code) << code.error().str();
    EXPECT_EQ(*code, 4) << mode;
    const std::string reason =
        query("SELECT DISTINCT status, reason FROM cells WHERE milestone = 'Limit_" +
              std::string(mode) + "'");
    EXPECT_NE(reason.find("killed|output limit: wrote "), std::string::npos)
        << mode << ": " << reason;
  }
}

TEST_F(Experiment, ARunOfSomeCellsDoesNotStandForItsMilestone) {
  const auto file = spec("repeat: 2\n");
  RunOptions some;
  some.only = {"prompt=a", "repeat=0"};
  EXPECT_EQ(run(file, some).value_or(-1), 0);
  EXPECT_EQ(query("SELECT status, cells_ok, cells FROM runs"), "partial|1|4\n");
  auto store = context_.open_store(store::Access::read_write);
  ASSERT_TRUE(store);
  const auto chosen = store->select("T1");
  ASSERT_FALSE(chosen);
  EXPECT_NE(chosen.error().message.find("1 partial"), std::string::npos) << chosen.error().message;
  EXPECT_FALSE(store->accept("T1"));
  EXPECT_EQ(run(file).value_or(-1), 0) << "the rest";
  EXPECT_EQ(query("SELECT status, cells_ok, cells FROM runs ORDER BY started_at, run_id"),
            "partial|1|4\ncomplete|4|4\n");
  EXPECT_TRUE(store->select("T1"));
}

TEST_F(Experiment, AnEngineOfAnotherContractIsRefused) {
  for (const auto& [version, says] : {std::pair{"9", "`contract_version` 9; this greta knows 1"},
                                      std::pair{"\"x\"", "`contract_version` \"x\""}}) {
    const auto engine = folder_.script(
        "other.sh", std::string("echo '{\"contract_version\": ") + version + ", \"flags\": []}'\n");
    const auto code = run(spec("engine: {binary: " + engine.string() + "}\n"));
    ASSERT_FALSE(code);
    EXPECT_EQ(code.error().exit_code, 2);
    EXPECT_NE(code.error().message.find(says), std::string::npos) << code.error().str();
  }
}

TEST_F(Experiment, ARecordedBaselineThatNobodyKnowsIsSaidFirst) {
  const auto code = run(spec("baseline: [B3.99@recorded]\n"));
  ASSERT_FALSE(code);
  EXPECT_EQ(code.error().exit_code, 2);
  EXPECT_EQ(code.error().line, 6) << code.error().str();
  EXPECT_NE(code.error().message.find("B3.99@recorded"), std::string::npos);
  EXPECT_EQ(query("SELECT count(*) FROM runs WHERE provenance = 'executed'"), "0\n");
}

struct Misbehaviour {
  const char *behave, *status, *reason;
  bool first_is_kept;  // request a was complete before b went wrong
};

class BadEngine : public Experiment, public testing::WithParamInterface<Misbehaviour> {};

TEST_P(BadEngine, EndsInOneReasonAndWhatWasCompleteStays) {
  const auto& test = GetParam();
  const auto file = spec(std::string("flags: {GRETA_BEHAVE: ") + test.behave +
                         ", GRETA_BEHAVE_AT: b}\ntimeout: 1s\nlimits: {output: 2MB}\n"
                         "expect: [{id: any, metric: readout.gap, agg: max, le: 100}]\n");
  const auto code = run(file);
  ASSERT_TRUE(code) << code.error().str();
  EXPECT_EQ(*code, 4);
  EXPECT_EQ(query("SELECT status FROM cells WHERE prompt = 'a'"),
            std::string(test.first_is_kept ? "ok" : test.status) + "\n");
  EXPECT_EQ(query("SELECT status FROM cells WHERE prompt = 'b'"), std::string(test.status) + "\n");
  const std::string reason = query("SELECT reason FROM cells WHERE prompt = 'b'");
  EXPECT_NE(reason.find(test.reason), std::string::npos) << reason;
  EXPECT_EQ(query("SELECT status FROM bundles"), std::string(test.status) + "\n")
      << "a failed attempt is kept";
  EXPECT_EQ(query("SELECT status FROM runs"), "failed\n");
  EXPECT_NE(printed_.find(test.reason), std::string::npos) << printed_;
  EXPECT_TRUE(fs::is_empty(folder_ / ".greta/tmp"));
}

INSTANTIATE_TEST_SUITE_P(
    Host, BadEngine,
    testing::Values(Misbehaviour{"crash", "failed", "crashed with signal 11", true},
                    Misbehaviour{"hang", "timeout", "timed out after 1.0 s", true},
                    Misbehaviour{"deaf", "timeout", "timed out after 1.0 s", true},
                    Misbehaviour{"torn", "failed", "crashed with signal 6", true},
                    Misbehaviour{"fill", "killed", "output limit", true},
                    Misbehaviour{"link", "failed", "out/passwd.jsonl: not a regular file", false},
                    Misbehaviour{"not_json", "failed", "out/readout.jsonl:2: not JSON", false},
                    Misbehaviour{"no_effective", "failed", "no effective.json", false},
                    Misbehaviour{"no_end", "failed", "no request_end record", false},
                    Misbehaviour{"complain", "failed",
                                 "exit 3: greta-engine: no such weight `blk.0`", true}),
    [](const auto& test) { return test.param.behave; });

TEST_F(Experiment, ABackgroundProcessOfTheEngineDoesNotOutliveIt) {
  const auto started = std::chrono::steady_clock::now();
  EXPECT_EQ(run(spec("flags: {GRETA_BEHAVE: fork}\n")).value_or(-1), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(20));
}

// In a session and a folder of its own, deaf to TERM: no process group finds it.
TEST_F(Experiment, ADaemonOfTheEngineDoesNotOutliveIt) {
  const auto left = [] {
    int count = 0;
    for (const auto& process : fs::directory_iterator("/proc")) {
      count += read_file(process.path() / "cmdline").value_or("") == std::string(
                                                                         "sleep\0"
                                                                         "654\0",
                                                                         10);
    }
    return count;
  };
  const int before = left();
  EXPECT_EQ(run(spec("flags: {GRETA_BEHAVE: daemon}\n")).value_or(-1), 0);
  EXPECT_EQ(left(), before);
}

TEST_F(Experiment, GatesCompareWithTheBaselineAndWithArms) {
  const std::string gates =
      "repeat: 2\nmatrix: {GRETA_SCALE: ['1', '2']}\nexpect:\n"
      "  - {id: kept, metric: readout.gap, ratio_to: baseline, ge: 0.9, le: 1.1}\n"
      "  - {id: floor, metric: readout.gap, within_floor_of: baseline}\n";
  const std::string arm =
      "  - {id: arm, metric: readout.gap, agg: median, ratio_to: {GRETA_SCALE: '1'}, gt: 1.6}\n";
  const auto file = spec(gates + arm, "C");
  EXPECT_EQ(run(file).value_or(-1), 3) << "there is no baseline";
  EXPECT_NE(printed_.find("no run of C was accepted before"), std::string::npos) << printed_;
  EXPECT_EQ(query("SELECT id, status, measured FROM gates ORDER BY position"),
            "kept|not_measured|\nfloor|not_measured|\narm|pass|1.6666666666666667\n");
  {
    auto store = context_.open_store(store::Access::read_write);
    ASSERT_TRUE(store && store->accept("C"));
  }
  EXPECT_EQ(run(file).value_or(-1), 3) << "the cells are the baseline's own";
  EXPECT_NE(printed_.find("taken from the cache (--force"), std::string::npos) << printed_;
  RunOptions force;
  force.force = true;
  EXPECT_EQ(run(file, force).value_or(-1), 0) << printed_;
  EXPECT_EQ(run(spec(gates + "  - {id: arm, metric: readout.gap, ratio_to: {GRETA_SCALE: '1'}, "
                             "le: 1.6}\n",
                     "C"),
                force)
                .value_or(-1),
            1);
}

TEST_F(Experiment, GatesDecideTheExitCode) {
  EXPECT_EQ(
      run(spec("expect: [{id: g, metric: readout.gap, agg: max, le: 1}]\n", "F")).value_or(-1), 1);
  EXPECT_EQ(query("SELECT status FROM runs WHERE milestone = 'F'"), "complete\n")
      << "a failed gate is a result, not a failed run";
  EXPECT_EQ(
      run(spec("expect: [{id: g, metric: readout.gap, where: 'step = 9', agg: max, le: 1}]\n", "N"))
          .value_or(-1),
      3);
  EXPECT_EQ(run(spec("", "E")).value_or(-1), 0) << "without gates ok cells are enough";
  EXPECT_EQ(exit_code_of(true, false, {}), 130);
  EXPECT_EQ(exit_code_of(false, false, {}), 4);
  EXPECT_EQ(exit_code_of(false, false, {{.status = store::GateStatus::fail}}), 4)
      << "what did not run whole has no verdict";
  EXPECT_EQ(exit_code_of(false, false, {{.status = store::GateStatus::not_measured}}), 4);
  EXPECT_EQ(exit_code_of(false, true, {{.status = store::GateStatus::error}}), 2);
  EXPECT_EQ(worse(0, 3), 3);
  EXPECT_EQ(worse(4, 1), 4);
  EXPECT_EQ(worse(130, 2), 130);
}

// Names of kinds that only the engine knows are judged by its records: the message says where the
// spec has them.
TEST_F(Experiment, AGateOverWhatNoRecordHasIsPointedAt) {
  folder_.write("a.yaml", "name: a\nargv: [\"{engine}\"]\noutputs: [{glob: stdout, kind: mine}]\n");
  folder_.script("mine.sh", "echo '{\"x\": 1, \"limit\": 2}'");
  const struct {
    const char *gate, *place, *hint;
  } kCases[] = {
      {"metric: mine.x, le: limit", "", ""},
      {"metric: mine.xx, le: 2", "6:26: ", "did you mean `x`?"},
      {"metric: mne.x, le: 2", "6:26: ", "did you mean `mine`?"},
      {"metric: mine.x, le: limmit", "6:38: ", "did you mean `limit`?"},
      {"metric: mine.x, le: 2, where: y > 0", "6:48: ", "no such column: y"},
      {"metric: mine.x, le: 2, agg: max, per: varian", "6:56: ", "did you mean `variant`?"},
      {"sql: SELECT xx < 2 FROM mine", "6:23: ", "no such column: xx"},
      {"distinct: [mine.x, mine.y]", "6:28: ", "no field `y`"},
  };
  for (const auto& one : kCases) {
    const auto file = folder_.write(
        "P.yaml",
        "schema: 1\nmilestone: P\nmodel: {file: model.gguf}\nprompts: [{id: a, text: x}]"
        "\nengine: {binary: mine.sh, adapter: a}\nexpect: [{id: g, " +
            std::string(one.gate) + "}]\n");
    const std::string place = one.place;
    EXPECT_EQ(run(file).value_or(-1), place.empty() ? 0 : 2) << one.gate << "\n" << printed_;
    if (place.empty()) continue;
    EXPECT_NE(printed_.find("P.yaml:" + place), std::string::npos) << printed_;
    EXPECT_NE(printed_.find(one.hint), std::string::npos) << printed_;
  }
}

TEST_F(Experiment, AnInjectedFaultIsReenactedNotExecuted) {
  // contract.sh has no GRETA_INJECT; the rule is the flag's, whatever the engine.
  EXPECT_EQ(provenance_of({{"GRETA_INJECT", "kv_layer_base"}}), "reenacted");
  EXPECT_EQ(provenance_of({{"GRETA_INJECT", ""}}), "executed");
  EXPECT_EQ(provenance_of({}), "executed");
}

TEST_F(Experiment, OnlyRunsWhatWasAskedFor) {
  const auto file = spec("matrix: {GRETA_SCALE: ['1', '2']}\n");
  RunOptions options;
  options.only = {"prompt=b", "GRETA_SCALE=2"};
  EXPECT_EQ(run(file, options).value_or(-1), 0);
  EXPECT_EQ(query("SELECT variant, prompt FROM cells"), "GRETA_SCALE=2|b\n");
  for (const auto& [only, says] :
       {std::pair{"promt=b", "did you mean `prompt`?"}, std::pair{"prompt", "is not KEY=VALUE"},
        std::pair{"prompt=c", "no cell has prompt=c"}}) {
    options.only = {only};
    const auto code = run(file, options);
    ASSERT_FALSE(code);
    EXPECT_EQ(code.error().exit_code, 2);
    EXPECT_NE(code.error().message.find(says), std::string::npos) << code.error().str();
  }
}

TEST_F(Experiment, WrongInputsAreNamedBeforeAnythingRuns) {
  struct Case {
    const char *name, *yaml, *says;
    int code;
  };
  for (const auto& test :
       {Case{"W1", "flags: {GRETA_BEHAV: slow}\n", "did you mean `GRETA_BEHAVE`?", 2},
        Case{"W2", "flags: {GRETA_BEHAVE: slowly}\n", "did you mean `slow`?", 2},
        Case{"W3", "engine: {binary: /no/such/engine}\n", "/no/such/engine", 2},
        Case{"W4", "engine: {binary: model.gguf}\n", "may not be executed", 2}}) {
    const auto code = run(spec(test.yaml, test.name));
    ASSERT_FALSE(code) << test.name;
    EXPECT_EQ(code.error().exit_code, test.code) << code.error().str();
    EXPECT_GT(code.error().line, 0) << code.error().str();
    EXPECT_NE(code.error().str().find(test.says), std::string::npos) << code.error().str();
  }
  const auto pinned = folder_.write(
      "P.yaml",
      "schema: 1\nmilestone: P\nengine: {binary: " + engines() +
          "contract.sh}\nprompts: [{id: a, text: x}]\nmodel: {file: model.gguf, sha256: " +
          std::string(64, '0') + "}\n");
  const auto code = run(pinned);
  ASSERT_FALSE(code);
  EXPECT_EQ(code.error().exit_code, 2);
  EXPECT_NE(code.error().message.find(std::string(64, '0')), std::string::npos);
  EXPECT_EQ(code.error().line, 5);
  EXPECT_EQ(query("SELECT count(*) FROM runs"), "0\n");
}

TEST_F(Experiment, AChangedModelIsAnotherExperiment) {
  const auto file = spec("");
  EXPECT_EQ(run(file).value_or(-1), 0);
  folder_.write("model.gguf", "not a model, but SOME bytes");  // the same length
  EXPECT_EQ(run(file).value_or(-1), 0);
  EXPECT_EQ(query("SELECT count(*), sum(cached) FROM cells"), "4|0\n");
}

TEST_F(Experiment, AnEndlessGateCanBeInterrupted) {
  const auto gate = [&](const std::string& limit) {
    return spec(
        "expect: [{id: g, sql: 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 "
        "FROM c" +
        limit + ") SELECT max(x) > 0 FROM c'}]\n");
  };
  Cancel cancel;
  std::thread later([&] {
    for (int i = 0; i < 300 && query("SELECT count(*) FROM cells") != "2\n"; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancel.request();
  });
  EXPECT_EQ(run(gate(""), {}, &cancel).value_or(-1), 130);
  later.join();
  EXPECT_EQ(query("SELECT status, (SELECT count(*) FROM gates) FROM runs"), "interrupted|0\n");
  EXPECT_EQ(query("SELECT status, count(*) FROM cells GROUP BY status"), "ok|2\n");
  EXPECT_EQ(run(gate(" LIMIT 9")).value_or(-1), 0);
  EXPECT_EQ(query("SELECT sum(cached), (SELECT group_concat(status) FROM gates) FROM cells"),
            "2|pass\n");
}

TEST_F(Experiment, InterruptedItKeepsWhatIsDoneAndGoesOn) {
  const auto file = spec("repeat: 10\nflags: {GRETA_BEHAVE: slow}\n");
  Cancel cancel;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    cancel.request();
  });
  const auto code = run(file, {}, &cancel);
  later.join();
  EXPECT_EQ(code ? *code : code.error().exit_code, 130);
  EXPECT_EQ(query("SELECT status FROM runs"), "interrupted\n");
  const std::string kept = query("SELECT count(*) FROM cells WHERE status = 'ok'");
  EXPECT_EQ(run(file).value_or(-1), 0);
  EXPECT_EQ(query("SELECT count(*) FROM cells JOIN runs USING (run) WHERE runs.status = 'complete' "
                  "AND cells.status = 'ok'"),
            "20\n");
  EXPECT_NE(query("SELECT sum(cached) FROM cells"), "0\n") << "nothing was kept of " << kept;
}

TEST_F(Experiment, ALostStoreIsFilledFromTheBundles) {
  const auto file = spec("");
  EXPECT_EQ(run(file).value_or(-1), 0);
  for (const char* suffix : {"", "-wal", "-shm"}) {
    fs::remove(folder_ / (std::string(".greta/store.sqlite") + suffix));
  }
  EXPECT_EQ(run(file).value_or(-1), 0);
  EXPECT_EQ(query("SELECT count(*), sum(cached) FROM cells"), "2|2\n");
  EXPECT_EQ(query("SELECT count(*) FROM bundles"), "1\n");
}

TEST_F(Experiment, ADamagedBundleStopsNobody) {
  const auto file = spec("");
  EXPECT_EQ(run(file).value_or(-1), 0);
  const std::string hash(64, 'e');
  folder_.write(".greta/bundles/ee/" + hash + "/manifest.json", "{\"manifest\": 1");
  EXPECT_EQ(run(file).value_or(-1), 0);
  EXPECT_TRUE(fs::exists(folder_ / (".greta/bundles/ee/" + hash))) << "evidence was thrown away";
}

TEST_F(Experiment, AttemptsOfAnyStoreWaitForTheGpu) {
  const auto spec_of_gpu = load_spec(spec("decode: {backend: cuda}\n"));
  ASSERT_TRUE(spec_of_gpu) << spec_of_gpu.error().str();
  Machine machine;
  machine.nvidia_cdi = true;
  machine.device_lock = folder_ / "gpu.lock";
  const auto layout = make_layout(folder_ / "other/.greta/store.sqlite");
  ASSERT_TRUE(layout);
  ResolvedInputs inputs;
  inputs.engines.resize(1);
  const auto plan = make_plan(*spec_of_gpu, inputs);
  ASSERT_TRUE(plan);
  std::vector<Engine> ready(1);
  ready[0].binary = engines() + "contract.sh";
  const Executor host;
  const AttemptSetting setting{.spec = *spec_of_gpu,
                               .plan = *plan,
                               .engines = ready,
                               .executor = host,
                               .machine = machine,
                               .layout = *layout,
                               .inputs = inputs,
                               .lock_json = "{}"};
  const Cancel never;
  auto held = FileLock::acquire_shared(machine.device_lock, never);
  ASSERT_TRUE(held);
  std::atomic<bool> waits = false, ended = false;
  std::thread other([&] {
    const auto attempt = run_attempt(
        setting, plan->attempts[0], [&](const std::string&) { waits = true; }, never);
    EXPECT_TRUE(attempt && attempt->manifest.status == "ok");
    ended = true;
  });
  for (int i = 0; i < 400 && !waits && !ended; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_TRUE(waits);
  EXPECT_FALSE(ended) << "two at once on one GPU";
  held->release();
  other.join();
}

TEST_F(Experiment, WhatADeadGretaLeftIsRemoved) {
  const auto dead = folder_.write(".greta/tmp/999999999.5.0/bundle/out/half.jsonl", "{");
  const auto alive = folder_.write(
      ".greta/tmp/" +
          [] {
            std::string owner = this_owner();
            owner[owner.find(':')] = '.';
            return owner;
          }() +
          ".77/x",
      "");
  EXPECT_EQ(run(spec("")).value_or(-1), 0);
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_TRUE(fs::exists(alive));
}

}  // namespace
}  // namespace greta::runner
