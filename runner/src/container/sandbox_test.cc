// Engines in real containers: a scratch image of a static busybox, so that no network is needed,
// and the shell engine inside. Runs with podman and with docker, each where it works on this
// machine.

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <thread>

#include "container/executor.h"
#include "container/image.h"
#include "run/run_fixture.h"
#include "system/test_cancel.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;
class Sandbox : public Experiment, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    Experiment::SetUp();
    auto chosen = choose_executor(GetParam(), kNever);
    if (!chosen) GTEST_SKIP() << "cannot run here: " << chosen.error().message;
    executor_ = *chosen;
    const std::string busybox = find_program("busybox");
    if (busybox.empty()) GTEST_SKIP() << "cannot run here: the package busybox-static is missing";
    make_image(busybox);
  }

  void make_image(const std::string& busybox) {
    const fs::path root = folder_ / "root";
    for (const char* name : {"bin", "tmp", "etc", "proc", "sys", "dev", "run"}) {
      fs::create_directories(root / name);
    }
    fs::permissions(root / "tmp", fs::perms(01777));
    fs::copy_file(busybox, root / "bin/busybox");
    for (const char* name :
         {"sh", "cat", "ln", "sleep", "yes", "id", "mkdir", "head", "true", "wget", "nc"}) {
      fs::create_symlink("busybox", root / "bin" / name);
    }
    const fs::path archive = folder_ / "root.tar";
    ASSERT_TRUE(output_of({"tar", "-C", root.string(), "-cf", archive.string(), "."}, kNever));
    image_ = "localhost/greta-test/busybox:" + std::to_string(getpid());
    const auto made = output_of({GetParam(), "import", archive.string(), image_}, kNever);
    ASSERT_TRUE(made) << made.error().str();
  }

  void TearDown() override {
    if (!image_.empty()) {
      EXPECT_TRUE(output_of({GetParam(), "rmi", "--force", image_}, kNever));
    }
  }

  fs::path contained(const std::string& more) const {
    return spec("engine: {binary: " + engines() + "contract.sh, image: '" + image_ + "'}\n" + more);
  }
  Result<int> run_contained(const std::string& more) {
    RunOptions options;
    options.executor = GetParam();
    return run(contained(more), options);
  }
  std::string containers() const {
    return output_of({GetParam(), "ps", "-aq", "--filter", "label=greta.owner=" + this_owner()},
                     kNever)
        .value();
  }

  // A job of its own: a shell line inside the sandbox.
  std::string inside(const std::string& line, Result<Finished>* finished = nullptr) {
    Executor executor = executor_;
    executor.image = image_;
    executor.label = "test";
    Job job;
    job.purpose = "test";
    job.argv = {"/bin/sh", "-c", line};
    fs::create_directories(folder_ / "out");
    place(executor, folder_ / "out", "/greta/out", true, job);
    place(executor, folder_ / "model.gguf", "/greta/model/model.gguf", false, job);
    job.workdir = folder_ / "out";
    job.stdout_file = folder_ / "log";
    job.merge_streams = true;
    job.timeout_s = 30;
    job.memory_bytes = int64_t{64} << 20;
    job.pids = 20;
    job.file_bytes = 1 << 20;
    job.no_sockets = no_sockets_;
    if (again_) job.again = again_;
    auto done = run_job(executor, job, kNever);
    if (finished != nullptr) *finished = done;
    return done ? *read_file(folder_ / "log") : done.error().str();
  }

  // The pids of the tool's clients that this test program has started.
  static std::vector<pid_t> clients() {
    std::vector<pid_t> out;
    for (const auto& task : fs::directory_iterator("/proc/self/task")) {
      std::istringstream pids(read_file(task.path() / "children").value_or(""));
      for (pid_t pid = 0; pids >> pid;) out.push_back(pid);
    }
    return out;
  }
  // Waits until the job of inside() says that it runs.
  bool running() const {
    for (int i = 0; i < 500 && !fs::exists(folder_ / "out/runs"); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return fs::exists(folder_ / "out/runs");
  }

  Executor executor_;
  std::string image_;
  bool no_sockets_ = false;
  std::function<Result<>(const std::string&)> again_;
};

TEST_P(Sandbox, TheShellEngineRunsInIt) {
  const auto code = run_contained(
      "matrix: {GRETA_SCALE: ['1', '2']}\n"
      "expect: [{id: gap, metric: readout.gap, agg: max, le: 2.5}]\n");
  ASSERT_TRUE(code) << code.error().str();
  EXPECT_EQ(*code, 0) << printed_;
  EXPECT_EQ(query("SELECT count(*), sum(status = 'ok') FROM cells"), "4|4\n");
  EXPECT_EQ(query("SELECT DISTINCT executor FROM bundles"), std::string(GetParam()) + "\n");
  EXPECT_NE(query("SELECT DISTINCT value FROM environment WHERE key = 'image'").size(), 1u);
  EXPECT_EQ(run_contained("matrix: {GRETA_SCALE: ['1', '2']}\n").value_or(-1), 0);
  EXPECT_EQ(query("SELECT count(*) FROM bundles"), "2\n") << "the second run should know them";
  EXPECT_EQ(containers(), "");
}

TEST_P(Sandbox, HangingAndCrashingEnginesAreStoppedAndKept) {
  EXPECT_EQ(
      run_contained("flags: {GRETA_BEHAVE: deaf, GRETA_BEHAVE_AT: b}\ntimeout: 2s\n").value_or(-1),
      4);
  EXPECT_EQ(query("SELECT prompt, status FROM cells ORDER BY 1"), "a|ok\nb|timeout\n");
  EXPECT_EQ(containers(), "") << "a stopped engine's container is left";
  EXPECT_EQ(run_contained("flags: {GRETA_BEHAVE: outside}\n").value_or(-1), 4);
  EXPECT_EQ(query("SELECT DISTINCT reason FROM cells WHERE run = (SELECT max(run) FROM runs)"),
            "exit 5: cannot write /greta-was-here (sandbox: only /greta/out "
            "and /tmp can be written)\n");
  EXPECT_EQ(run_contained("flags: {GRETA_BEHAVE: fork}\n").value_or(-1), 0);
  EXPECT_EQ(containers(), "");
}

TEST_P(Sandbox, NothingButItsOutputFolderIsOpenToIt) {
  EXPECT_NE(inside("id -u").find(geteuid() == 0 ? "65534" : std::to_string(geteuid())),
            std::string::npos);
  EXPECT_NE(inside("echo x > /bin/x").find("Read-only file system"), std::string::npos);
  EXPECT_NE(inside("echo x > /greta/model/model.gguf").find("Read-only file system"),
            std::string::npos);
  EXPECT_EQ(inside("echo x > /greta/out/x && echo y > /tmp/y && cat /greta/out/x /tmp/y"),
            "x\ny\n");
  const std::string interfaces = inside("cat /proc/net/dev");
  EXPECT_EQ(std::count(interfaces.begin(), interfaces.end(), '\n'), 3) << interfaces;  // header, lo
  EXPECT_NE(inside("cat /proc/self/status").find("CapEff:\t0000000000000000"), std::string::npos);
  EXPECT_NE(inside("cat /proc/self/status").find("NoNewPrivs:\t1"), std::string::npos);
}

TEST_P(Sandbox, LimitsHold) {
  Result<Finished> finished = Finished{};
  inside("exec head -c 4000000 /dev/zero > /greta/out/big", &finished);
  ASSERT_TRUE(finished);
  EXPECT_FALSE(finished->ok());
  EXPECT_LE(fs::file_size(folder_ / "out/big"), 1u << 20);
  if (!executor_.tool.quirks.limits) return;  // cgroups do not allow more here
  // Each goes on and would end well, if it were let.
  struct Case {
    const char *line, *reason;
  };
  for (const auto& test :
       {Case{"i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i + 1)); done; exit 0",
             "pid limit: 20 processes"},
        Case{"(x=$(head -c 200000000 /dev/zero | cat -v)); sleep 1; exit 0",
             "out of memory: the limit is 64 MiB"},
        Case{"x=$(head -c 200000000 /dev/zero | cat -v)", "out of memory: the limit is 64 MiB"}}) {
    inside(test.line, &finished);
    ASSERT_TRUE(finished) << finished.error().str();
    EXPECT_EQ(finished->reason, test.reason) << test.line;
    EXPECT_EQ(finished->stop, Stop::watch) << test.line;
  }
  inside("i=0; while [ $i -lt 10 ]; do sleep 0.1 & i=$((i + 1)); done; wait; exit 3", &finished);
  EXPECT_EQ(finished->exit_code, 3) << "ten processes within a limit of twenty";
  EXPECT_EQ(finished->stop, Stop::none) << finished->reason;
}

TEST_P(Sandbox, ANetworkSocketStopsWhoMustNotHaveOne) {
  Result<Finished> finished = Finished{};
  const char* const line = "nc 127.0.0.1 9 </dev/null; exit 0";
  inside(line, &finished);
  EXPECT_EQ(finished->stop, Stop::none) << "a build may talk to itself";
  no_sockets_ = true;
  inside(line, &finished);
  EXPECT_EQ(finished->stop, Stop::watch);
  EXPECT_EQ(finished->reason, "opened a network socket: the sandbox has no network");
  inside("exit 0", &finished);
  EXPECT_TRUE(finished->ok()) << finished->reason;
}

TEST_P(Sandbox, AnEngineThatGoesOnPastALimitHasNoResult) {
  if (!executor_.tool.quirks.limits) GTEST_SKIP() << "cgroups do not allow limits here";
  EXPECT_EQ(run_contained("matrix: {GRETA_BEHAVE: [swarm, devour, socket]}\n"
                          "flags: {GRETA_BEHAVE_AT: b}\n"
                          "limits: {memory: 64MiB, pids: 20}\n")
                .value_or(-1),
            4);
  EXPECT_EQ(query("SELECT variant, prompt, status, reason FROM cells ORDER BY 1, 2"),
            "GRETA_BEHAVE=devour|a|ok|\n"
            "GRETA_BEHAVE=devour|b|killed|out of memory: the limit is 64 MiB\n"
            "GRETA_BEHAVE=socket|a|ok|\n"
            "GRETA_BEHAVE=socket|b|killed|opened a network socket: the sandbox has no network\n"
            "GRETA_BEHAVE=swarm|a|ok|\n"
            "GRETA_BEHAVE=swarm|b|killed|pid limit: 20 processes\n");
  EXPECT_EQ(containers(), "");
}

TEST_P(Sandbox, SignalsAreThoseOfTheEngineAndTermReachesIt) {
  Result<Finished> finished = Finished{};
  inside("kill -ABRT $$", &finished);
  EXPECT_EQ(finished->signal, SIGABRT);
  inside("exit 134", &finished);
  EXPECT_EQ(finished->exit_code, 134) << "an exit code, no signal";
  inside("exit 125", &finished);
  EXPECT_EQ(finished->exit_code, 125) << "not a failure of the tool";
  inside("/no/such/program; exec /no/such/program", &finished);
  EXPECT_EQ(finished->exit_code, 127);
}

TEST_P(Sandbox, WhenTheToolFailsTheJobIsTriedAgain) {
  again_ = [this](const std::string&) { return empty_folder(folder_ / "out"); };
  Result<Finished> finished = Finished{};
  std::thread job([&] { inside("echo x > /greta/out/runs; sleep 0.7; exit 3", &finished); });
  ASSERT_TRUE(running());
  const auto processes = clients();
  EXPECT_FALSE(processes.empty());
  for (const pid_t pid : processes) kill(pid, SIGKILL);
  job.join();
  ASSERT_TRUE(finished) << finished.error().str();
  EXPECT_EQ(finished->exit_code, 3) << finished->reason;
  EXPECT_EQ(finished->tries, 2);
  EXPECT_EQ(containers(), "") << "the first try's container is left";

  again_ = {};
  fs::remove(folder_ / "out/runs");
  std::thread once([&] { inside("echo x > /greta/out/runs; sleep 5", &finished); });
  ASSERT_TRUE(running());
  for (const pid_t pid : clients()) kill(pid, SIGKILL);
  once.join();
  ASSERT_TRUE(finished) << finished.error().str();
  EXPECT_EQ(finished->stop, Stop::lost) << "what it wrote was not undone, so it is not tried again";
  EXPECT_EQ(finished->tries, 1);
  EXPECT_EQ(containers(), "");
}

TEST_P(Sandbox, ARuntimeThatFailsOnceIsTriedAgainAndOneThatAlwaysDoesIsNamed) {
  const std::string runc = find_program("runc");
  if (executor_.kind != ExecutorKind::podman || runc.empty()) GTEST_SKIP() << "needs podman, runc";
  const auto runtime = folder_.script(
      "runtime", "case \"$*\" in *create*) if [ ! -e " + (folder_ / "flag").string() +
                     " ]; then touch " + (folder_ / "flag").string() +
                     "; echo not today >&2; exit 1; fi;; esac\n"
                     "exec " +
                     runc + " \"$@\"\n");
  executor_.tool.quirks.options.insert(executor_.tool.quirks.options.end(),
                                       {"--runtime", runtime.string()});
  Result<Finished> finished = Finished{};
  inside("exit 3", &finished);
  ASSERT_TRUE(finished) << finished.error().str();
  EXPECT_EQ(finished->exit_code, 3) << finished->reason;
  EXPECT_EQ(finished->tries, 2);
  executor_.tool.quirks.options.back() = "/bin/false";
  inside("exit 3", &finished);
  ASSERT_TRUE(finished) << finished.error().str();
  EXPECT_EQ(finished->stop, Stop::lost);
  EXPECT_EQ(finished->tries, 3);
  EXPECT_NE(finished->reason.find("the container did not start (podman: exit 12"),
            std::string::npos)
      << finished->reason;
  EXPECT_EQ(containers(), "");
}

TEST_P(Sandbox, ContainersOfADeadGretaAreRemovedWhateverItsStore) {
  ContainerSpec spec;
  spec.tool = executor_.tool.tool;
  spec.quirks = executor_.tool.quirks;
  spec.rootless = executor_.tool.rootless;
  spec.image = image_;
  spec.argv = {"/bin/sleep", "600"};
  const std::string here = this_machine();
  std::vector<std::string> orphans, others;
  for (const auto& [owner, machine, orphan] :
       {std::tuple{std::string("999999999:5"), here, true}, std::tuple{this_owner(), here, false},
        std::tuple{std::string("999999999:5"), std::string("elsewhere/b/pid:[1]"), false},
        std::tuple{this_owner(), here.substr(0, here.find('/')) + "/an-earlier-boot/pid:[1]",
                   true}}) {
    spec.name = "greta-test-" + std::to_string(getpid()) + "-" +
                std::to_string(orphans.size() + others.size());
    spec.labels = {
        {"greta.owner", owner}, {"greta.machine", machine}, {"greta.store", "some other store"}};
    auto argv = run_argv(spec);
    argv.insert(argv.begin() + 2, "--detach");
    const auto started = output_of(argv, kNever);
    ASSERT_TRUE(started) << started.error().str();
    (orphan ? orphans : others).push_back(started->substr(0, 12));
  }
  auto found = find_orphans(executor_, kNever);
  for (auto& id : found) id.resize(12);
  std::sort(found.begin(), found.end());
  std::sort(orphans.begin(), orphans.end());
  EXPECT_TRUE(std::includes(found.begin(), found.end(), orphans.begin(), orphans.end()));
  EXPECT_GE(remove_orphans(executor_, kNever), 2);
  const std::string left =
      output_of({GetParam(), "ps", "-aq", "--filter", "label=greta.owner"}, kNever).value_or("");
  for (const auto& id : orphans) EXPECT_EQ(left.find(id), std::string::npos);
  for (const auto& id : others) {
    EXPECT_NE(left.find(id), std::string::npos) << "the container of a living greta was removed";
    static_cast<void>(output_of(remove_argv(executor_.tool.tool, id), kNever));
  }
}

TEST_P(Sandbox, AnImageIsBuiltFromItsFolderOnceAndAFailureShowsTheLog) {
  folder_.write("image/Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN echo built > /etc/built\n");
  folder_.script("image/base", "echo 'looking' >&2\necho noise\necho " + image_ + "\n");
  const auto file = [&](const std::string& name) {
    return spec("engine: {binary: " + engines() + "contract.sh, image: '" +
                    (folder_ / "image").string() + "'}\n",
                name);
  };
  RunOptions options;
  options.executor = GetParam();
  const auto code = run(file("I1"), options);
  ASSERT_TRUE(code) << code.error().str();
  EXPECT_EQ(*code, 0);
  const std::string name = query("SELECT DISTINCT value FROM environment WHERE key = 'image.name'");
  EXPECT_EQ(name.find("localhost/greta/image:"), 0u) << name;
  const auto log_time = fs::last_write_time(folder_ / ".greta/logs/image-image.log");
  EXPECT_EQ(run(file("I2"), options).value_or(-1), 0);
  EXPECT_EQ(fs::last_write_time(folder_ / ".greta/logs/image-image.log"), log_time)
      << "built again";

  folder_.write("image/Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN echo about to fail && exit 7\n");
  const auto failed = run(file("I3"), options);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().exit_code, 4);
  EXPECT_NE(failed.error().message.find("about to fail"), std::string::npos)
      << failed.error().message;
  EXPECT_NE(failed.error().message.find("image-image.log"), std::string::npos);
  static_cast<void>(
      output_of({GetParam(), "rmi", "--force", name.substr(0, name.size() - 1)}, kNever));
}

INSTANTIATE_TEST_SUITE_P(Real, Sandbox, testing::Values("podman", "docker"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace greta::runner
