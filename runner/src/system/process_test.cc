#include "system/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "system/files.h"
#include "system/lock.h"
#include "system/test_cancel.h"
#include "system/test_folder.h"

namespace greta::runner {
namespace {

Command shell(const TestFolder& folder, const std::string& script) {
  Command command;
  command.argv = {"/bin/sh", "-c", script};
  command.stdout_file = folder / "out";
  command.stderr_file = folder / "err";
  command.grace_s = 0.3;
  return command;
}

TEST(Process, ExitCodesSignalsAndStreamsComeBack) {
  const TestFolder folder;
  const auto good = run_command(shell(folder, "echo a; echo b >&2; exit 7"), kNever);
  ASSERT_TRUE(good) << good.error().str();
  EXPECT_EQ(good->exit_code, 7);
  EXPECT_EQ(good->signal, 0);
  EXPECT_EQ(*read_file(folder / "out"), "a\n");
  EXPECT_EQ(*read_file(folder / "err"), "b\n");
  EXPECT_EQ(run_command(shell(folder, "kill -SEGV $$"), kNever)->signal, SIGSEGV);
  EXPECT_TRUE(run_command(shell(folder, "true"), kNever)->ok());
}

TEST(Process, ArgumentsPassUntouchedAndNoShellReadsThem) {
  const TestFolder folder;
  Command command = shell(folder, "");
  command.argv = {"printf", "%s|", "a b", "$HOME", "*", "'", ""};
  ASSERT_TRUE(run_command(command, kNever)->ok());
  EXPECT_EQ(*read_file(folder / "out"), "a b|$HOME|*|'||");
}

TEST(Process, OnlyTheGivenEnvironmentAndFolder) {
  const TestFolder folder;
  Command command = shell(folder, "/usr/bin/env | grep -v -e ^_= -e ^PWD= -e ^SHLVL=; pwd");
  command.environment = {{"PATH", "/usr/bin:/bin"}, {"A", "b c"}};
  command.working_folder = folder.path();
  ASSERT_TRUE(run_command(command, kNever)->ok());
  const std::string text = *read_file(folder / "out");
  EXPECT_NE(text.find("A=b c\n"), std::string::npos);
  EXPECT_NE(text.find("PATH=/usr/bin:/bin\n"), std::string::npos);
  EXPECT_EQ(text.find("HOME="), std::string::npos);
  EXPECT_NE(text.find(folder.path().string() + "\n"), std::string::npos);
}

TEST(Process, WhatCannotStartSaysWhy) {
  const TestFolder folder;
  Command command = shell(folder, "");
  command.argv = {"no-such-program-here"};
  auto missing = run_command(command, kNever);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().exit_code, 4);
  EXPECT_NE(missing.error().message.find("no-such-program-here"), std::string::npos);
  command.argv = {folder.write("plain.txt", "no program").string()};
  EXPECT_NE(run_command(command, kNever).error().message.find("Permission denied"),
            std::string::npos);
}

TEST(Process, TimeoutTermsFirstAndThenKills) {
  const TestFolder folder;
  Command polite = shell(folder, "trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done");
  polite.timeout_s = 0.3;
  const auto asked = run_command(polite, kNever);
  EXPECT_EQ(asked->stop, Stop::timeout);
  EXPECT_EQ(asked->exit_code, 3);
  EXPECT_EQ(*read_file(folder / "out"), "bye\n");

  Command deaf = shell(folder, "trap '' TERM; while :; do sleep 0.05; done");
  deaf.timeout_s = 0.2;
  const auto killed = run_command(deaf, kNever);
  EXPECT_EQ(killed->stop, Stop::timeout);
  EXPECT_EQ(killed->signal, SIGKILL);
  EXPECT_LT(killed->wall_s, 5);
  EXPECT_NE(killed->reason.find("timed out after 0.2 s"), std::string::npos);
}

TEST(Process, CancellationAndTheWatchStopIt) {
  const TestFolder folder;
  Cancel cancel;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    cancel.request();
  });
  const auto cancelled = run_command(shell(folder, "sleep 30"), cancel);
  later.join();
  EXPECT_EQ(cancelled->stop, Stop::cancelled);
  EXPECT_LT(cancelled->wall_s, 5);

  Command watched = shell(folder, "sleep 30");
  watched.watch = [] { return std::optional<std::string>("too much"); };
  const auto stopped = run_command(watched, kNever);
  EXPECT_EQ(stopped->stop, Stop::watch);
  EXPECT_EQ(stopped->reason, "too much");
}

TEST(Process, LogsAreCappedAndTheProgramIsNotHeldUp) {
  const TestFolder folder;
  Command command = shell(folder, "head -c 3000000 /dev/zero; echo end >&2");
  command.most_log_bytes = 1000;
  const auto finished = run_command(command, kNever);
  EXPECT_TRUE(finished->ok());
  EXPECT_TRUE(finished->logs_cut);
  EXPECT_EQ(read_file(folder / "out")->size(), 1000u);
  EXPECT_EQ(*read_file(folder / "err"), "end\n");
}

TEST(Process, FileSizeLimitHoldsForTheChild) {
  const TestFolder folder;
  Command command = shell(folder, "exec head -c 100000 /dev/zero > big");
  command.working_folder = folder.path();
  command.most_file_bytes = 4096;
  EXPECT_FALSE(run_command(command, kNever)->ok());
  EXPECT_EQ(std::filesystem::file_size(folder / "big"), 4096u);
}

TEST(Process, ABackgroundChildNeitherHoldsUpNorOutlives) {
  const TestFolder folder;
  const auto finished = run_command(shell(folder, "sleep 60 & echo $!"), kNever);
  ASSERT_TRUE(finished->ok());
  EXPECT_LT(finished->wall_s, 5);
  const pid_t left = std::stoi(*read_file(folder / "out"));
  for (int i = 0; i < 100 && kill(left, 0) == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (!owner_is_alive(std::to_string(left) + ":0")) break;
  }
  // Gone, or a zombie that init has yet to collect: /proc/PID/stat says which.
  const auto stat = read_file("/proc/" + std::to_string(left) + "/stat");
  EXPECT_TRUE(!stat || stat->find(") Z") != std::string::npos) << *stat;
}

TEST(Process, OutputOfReportsTheEndOfStderr) {
  EXPECT_EQ(*output_of({"printf", "x"}, kNever), "x");
  const auto failed = output_of({"/bin/sh", "-c", "echo broken >&2; exit 9"}, kNever);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("exit 9"), std::string::npos);
  EXPECT_NE(failed.error().message.find("broken"), std::string::npos);
}

TEST(Lock, OnlyOneHolderAndTheWaiterGoesOn) {
  const TestFolder folder;
  auto first = FileLock::acquire(folder / "lock", kNever);
  ASSERT_TRUE(first);
  std::atomic<bool> waited = false, got = false;
  std::thread second([&] {
    const auto lock = FileLock::acquire(folder / "lock", kNever, [&] { waited = true; });
    got = lock.has_value();
  });
  while (!waited) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE(got);
  first->release();
  second.join();
  EXPECT_TRUE(got);
  EXPECT_FALSE(std::filesystem::exists(folder / "lock"));

  auto held = FileLock::acquire(folder / "lock", kNever);
  Cancel cancel;
  cancel.request();
  const auto refused = FileLock::acquire(folder / "lock", cancel);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().exit_code, 130);
}

TEST(Lock, ASharedOneStaysForTheNextUser) {
  const TestFolder folder;
  auto held = FileLock::acquire_shared(folder / "lock", kNever);
  ASSERT_TRUE(held);
  Cancel cancel;
  cancel.request();
  EXPECT_FALSE(FileLock::acquire_shared(folder / "lock", cancel)) << "two holders";
  { const auto gone = std::move(*held); }
  EXPECT_TRUE(std::filesystem::exists(folder / "lock"));
  EXPECT_TRUE(FileLock::acquire_shared(folder / "lock", cancel));
  std::filesystem::create_symlink(folder / "lock", folder / "link");
  EXPECT_FALSE(FileLock::acquire_shared(folder / "link", kNever))
      << "anybody may have put it there";
}

}  // namespace
}  // namespace greta::runner
