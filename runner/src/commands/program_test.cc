// The program itself: killed at any moment, several at once, its command line.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "run/run_fixture.h"
#include "system/process.h"
#include "system/test_cancel.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;
class Program : public Experiment {
 protected:
  // Starts `greta run FILE` and does not wait for it.
  pid_t start(const fs::path& file, const fs::path& store) const {
    const pid_t pid = fork();
    if (pid == 0) {
      const int log = open((folder_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
      dup2(log, 1);
      dup2(log, 2);
      execl(GRETA_BINARY, GRETA_BINARY, "run", file.c_str(), "--executor", "host", "--store",
            store.c_str(), static_cast<char*>(nullptr));
      _exit(127);
    }
    return pid;
  }
  static int wait_for(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  // Its engine is built: by copying, and every build leaves a line.
  fs::path slow_spec() const {
    folder_.script("src/build.sh", "cp engine.sh greta-built\nsleep 0.2\necho built >>" +
                                       (folder_ / "builds").string() + "\n");
    fs::copy_file(engines() + "contract.sh", folder_ / "src/engine.sh");
    EXPECT_TRUE(output_of({"git", "init", "-q", (folder_ / "src").string()}, kNever));
    return spec("engine: {repo: " + (folder_ / "src").string() +
                ", build: [./build.sh], artifact: greta-built}\nmatrix: {GRETA_SCALE: ['1', "
                "'2']}\nrepeat: 3\nflags: {GRETA_BEHAVE: slow}\n"
                "expect: [{id: gap, metric: readout.gap, agg: max, le: 2.5}]\n");
  }
  Finished greta(const std::vector<std::string>& words) {
    std::vector<std::string> argv = {GRETA_BINARY};
    argv.insert(argv.end(), words.begin(), words.end());
    return run(argv);
  }
  Finished run(const std::vector<std::string>& argv) {
    Command command;
    command.argv = argv;
    command.working_folder = folder_.path();
    command.stdout_file = folder_ / "stdout";
    command.stderr_file = folder_ / "stderr";
    return run_command(command, kNever).value();
  }
  std::string out() const { return *read_file(folder_ / "stdout"); }
  std::string err() const { return *read_file(folder_ / "stderr"); }
};

// The store, its folder, the engine's build and every cell: whoever comes first makes them, once.
TEST_F(Program, EightAtOnceOnANewStoreRunEveryCellOnce) {
  const fs::path file = slow_spec();
  const fs::path store = folder_ / "new/.greta/store.sqlite";
  context_.store_path = store;
  std::vector<pid_t> pids;
  for (int i = 0; i < 8; ++i) pids.push_back(start(file, store));
  for (const pid_t pid : pids) EXPECT_EQ(wait_for(pid), 0) << *read_file(folder_ / "log");
  EXPECT_EQ(query("SELECT count(*) FROM runs WHERE status = 'complete'"), "8\n");
  EXPECT_EQ(*read_file(folder_ / "builds"), "built\n");
  EXPECT_EQ(query("SELECT count(*) FROM bundles"), "6\n") << "2 variants × 3 repeats, each once";
  EXPECT_EQ(query("SELECT count(*), sum(NOT cached), sum(status = 'ok') FROM cells"), "96|12|96\n");
}

// A ready program is kept by its hash, by whoever is first.
TEST_F(Program, EightAtOnceKeepOneReadyProgram) {
  const fs::path file = spec("flags: {GRETA_BEHAVE: slow}\nrepeat: 3\n");
  for (int round = 0; round < 3; ++round) {
    const fs::path store = folder_ / ("ready" + std::to_string(round)) / ".greta/store.sqlite";
    context_.store_path = store;
    std::vector<pid_t> pids;
    for (int i = 0; i < 8; ++i) pids.push_back(start(file, store));
    for (const pid_t pid : pids) EXPECT_EQ(wait_for(pid), 0) << *read_file(folder_ / "log");
    EXPECT_EQ(query("SELECT count(*), sum(NOT cached), sum(status = 'ok') FROM cells"),
              "48|6|48\n");
    fs::remove_all(folder_ / "cache");
  }
}

TEST_F(Program, CtrlCStopsItAndItsEngine) {
  const fs::path file = spec("flags: {GRETA_BEHAVE: hang, GRETA_BEHAVE_AT: b}\n");
  const fs::path store = folder_ / ".greta/store.sqlite";
  fs::create_directories(store.parent_path());
  const pid_t pid = start(file, store);
  for (int i = 0; i < 200 && query("SELECT count(*) FROM runs") != "1\n"; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  kill(pid, SIGINT);
  EXPECT_EQ(wait_for(pid), 130);
  EXPECT_EQ(query("SELECT status FROM runs"), "interrupted\n");
  EXPECT_TRUE(fs::is_empty(folder_ / ".greta/tmp"));
}

TEST_F(Program, TheCommandLineSaysTheNearest) {
  EXPECT_EQ(greta({"--help"}).exit_code, 0);
  for (const char* word : {"run", "doctor", "query", "examples:"}) {
    EXPECT_NE(out().find(word), std::string::npos) << word;
  }
  struct Case {
    std::vector<std::string> words;
    const char* says;
  };
  for (const auto& test :
       {Case{{"runn", "x.yaml"}, "unknown command `runn` (did you mean `run`?)"},
        Case{{"run", "x.yaml", "--exeutor", "host"},
             "unknown option `--exeutor` (did you mean `--executor`?)"},
        Case{{"run"}, "SPEC"}, Case{{"run", "no-such.yaml", "--executor", "host"}, "no-such.yaml"},
        Case{{"run", "T1.yaml", "--executor", "kubernetes"}, "kubernetes"},
        Case{{"--no-such"}, "--no-such"}}) {
    spec("");
    EXPECT_EQ(greta(test.words).exit_code, 2) << err();
    EXPECT_NE(err().find(test.says), std::string::npos) << err();
  }
  EXPECT_EQ(greta({"--version"}).exit_code, 0);
  EXPECT_TRUE(out().starts_with("greta ")) << out();
}

TEST_F(Program, HelpThatCannotBeWrittenIsAnError) {
  for (const std::string words : {"--help", "run --help", "--version"}) {
    EXPECT_EQ(run({"/bin/sh", "-c", GRETA_BINARY " " + words}).exit_code, 0) << words;
    EXPECT_NE(out(), "") << words;
    const Finished full = run({"/bin/sh", "-c", GRETA_BINARY " " + words + " >/dev/full"});
    EXPECT_EQ(full.exit_code, static_cast<int>(Exit::infrastructure)) << words;
    EXPECT_EQ(err(), "error: standard output cannot be written\n") << words;
  }
}

TEST_F(Program, ALongQueryEndsAtCtrlCAndWhenNobodyReads) {
  spec("");
  ASSERT_EQ(greta({"run", "T1.yaml", "--executor", "host"}).exit_code, 0) << err();
  const std::string endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";
  const std::string query = GRETA_BINARY " query \"" + endless;
  const Finished stopped =
      run({"/bin/sh", "-c",
           "timeout --preserve-status -s INT 0.5 " + query + " SELECT count(*) FROM n\""});
  EXPECT_EQ(stopped.exit_code, 130) << err();
  EXPECT_EQ(err(), "error: interrupted\n");
  EXPECT_LT(stopped.wall_s, 10);
  const Finished unread = run(
      {"/bin/sh", "-c", "{ " + query + " SELECT i FROM n\" --csv; echo $? >code; } | head -n 2"});
  EXPECT_EQ(out(), "i\n1\n");
  EXPECT_EQ(*read_file(folder_ / "code"), "0\n") << err();
  EXPECT_LT(unread.wall_s, 10);
  for (const std::string format : {"--csv", "--jsonl", "--json", "--md", ""}) {
    const Finished full =
        run({"/bin/sh", "-c", query + " SELECT i FROM n LIMIT 100000\" " + format + " >/dev/full"});
    EXPECT_EQ(full.exit_code, 4) << format << err();
  }
}

TEST_F(Program, SqlIsTheShellOfSqliteForReading) {
  spec("");
  ASSERT_EQ(greta({"run", "T1.yaml", "--executor", "host"}).exit_code, 0) << err();
  const auto shell = [&](const std::string& sql, const std::string& words = "sql") {
    return run({"/bin/sh", "-c", "echo \"" + sql + "\" | " GRETA_BINARY " " + words}).exit_code;
  };
  EXPECT_EQ(shell("SELECT milestone, cells_ok FROM runs;"), 0) << err();
  EXPECT_EQ(out(), "T1|2\n");
  EXPECT_EQ(shell("SELECT count(*) FROM readout;", "sql .greta/store.sqlite"), 0) << err();
  EXPECT_EQ(shell("SELECT milestone FROM runs;", "sql --json"), 0) << err();
  EXPECT_EQ(out(), "[{\"milestone\":\"T1\"}]\n");
  EXPECT_EQ(shell("SELECT no_such;"), 2) << "1 is the word of a gate that failed";
  EXPECT_EQ(shell(".exit 7"), 7);
  EXPECT_EQ(shell("SELECT 1;", "sql ''"), 2) << err();
  EXPECT_EQ(shell("SELECT 1;", "--store '' sql"), 2) << err();
  EXPECT_EQ(shell("DELETE FROM run;"), 2);
  EXPECT_NE(err().find("readonly"), std::string::npos) << err();
  EXPECT_EQ(query("SELECT count(*) FROM runs"), "1\n");
  EXPECT_EQ(shell("", "sql model.gguf"), 4);
  EXPECT_NE(err().find("no greta store"), std::string::npos) << err();
  EXPECT_EQ(shell("", "sql no-such.sqlite"), 2) << err();
  const Finished without = run({"/usr/bin/env", "PATH=/nowhere", GRETA_BINARY, "sql"});
  EXPECT_EQ(without.exit_code, 4);
  EXPECT_NE(err().find("apt-get install sqlite3"), std::string::npos) << err();
}

TEST_F(Program, JsonIsOneObjectALineAndTheStoreMayBeNamedAnywhere) {
  // Prompts as long as each other have one answer and one gap of this engine: there is a lint.
  const auto file = spec("expect: [{id: g, metric: readout.gap, agg: max, le: 9}]\n");
  std::string text = *read_file(file);
  folder_.write("T1.yaml", text.replace(text.find("hi there"), 8, "salut"));
  const auto done =
      greta({"run", "T1.yaml", "--executor", "host", "--json", "--store", "x.sqlite"});
  EXPECT_EQ(done.exit_code, 0) << err();
  std::istringstream lines(out());
  std::string kinds;
  for (std::string line; std::getline(lines, line);) {
    ASSERT_TRUE(line.starts_with("{") && line.ends_with("}")) << line;
    const size_t at = line.find("\"event\":\"") + 9;
    kinds += line.substr(at, line.find('"', at) - at) + " ";
  }
  EXPECT_EQ(kinds,
            "run_started attempt_started cell cell attempt_finished gate lint run_finished ");
  EXPECT_TRUE(fs::exists(folder_ / "x.sqlite.files/bundles"));
}

}  // namespace
}  // namespace greta::runner
