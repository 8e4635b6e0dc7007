#pragma once
// Commands over a store, as a person calls them.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "system/context.h"
#include "system/json.h"

namespace greta::runner {

namespace fs = std::filesystem;

class StoreCommands : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) / ("greta-commands-" + std::to_string(getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_);
    before_ = fs::current_path();
    fs::current_path(fs::path(PROJECT_ROOT));  // where B3.21@recorded is found
  }
  void TearDown() override {
    fs::current_path(before_);
    fs::remove_all(root_);
  }

  struct Answer {
    int exit_code = 0;
    std::string out, err;
  };
  Answer greta(std::vector<std::string> words) {
    Context context;
    context.store_path = (root_ / "store.sqlite").string();
    CLI::App app;
    app.add_flag("--json", context.json);
    app.add_flag_callback("-q", [&context] { context.verbosity = 0; });
    app.add_flag_callback("-v", [&context] { context.verbosity = 2; });
    for (const RegisterCommand add :
         {register_list, register_query, register_history, register_import, register_accept,
          register_diff, register_check, register_gc})
      add(app, context);
    for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; }))
      command->fallthrough();
    std::reverse(words.begin(), words.end());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Answer answer;
    try {
      app.parse(words);
    } catch (const CLI::ParseError& error) {
      context.exit_code = static_cast<int>(Exit::usage);
      std::cerr << error.what() << "\n";
    }
    answer.out = testing::internal::GetCapturedStdout();
    answer.err = testing::internal::GetCapturedStderr();
    answer.exit_code = context.exit_code;
    return answer;
  }
  // A run of this machine with one record, complete.
  std::string executed_run() {
    return run_with("B3.21", "2026-02-03T10:00:00.000Z", "{\"phase\":\"decode0\",\"top1_id\":7}\n");
  }
  // A run with these lines of readout.jsonl for the prompt p4_sys, begun at that time.
  std::string run_with(const std::string& milestone, const std::string& started_at,
                       const std::string& lines) {
    auto opened = store::Store::open(root_ / "store.sqlite", store::Access::read_write);
    EXPECT_TRUE(opened);
    write(root_ / "b/out/readout.jsonl", lines);
    write(root_ / "b/manifest.json", SortedJson({{"manifest", 1},
                                                 {"provenance", "executed"},
                                                 {"status", "ok"},
                                                 {"milestone", milestone},
                                                 {"started_at", started_at},
                                                 {"environment", {{"commit", "c0ffee"}}},
                                                 {"cells",
                                                  {{{"identity", started_at},
                                                    {"prompt", "p4_sys"},
                                                    {"request", "p4_sys"},
                                                    {"status", "ok"}}}},
                                                 {"files",
                                                  {{{"name", "out/readout.jsonl"},
                                                    {"bytes", lines.size()},
                                                    {"sha256", store::sha256_hex(lines)},
                                                    {"role", "records"}}}}})
                                         .dump());
    return opened->import_bundle(root_ / "b").value_or("");
  }
  static void write(const fs::path& file, const std::string& bytes) {
    fs::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << bytes;
  }

  fs::path root_, before_;
};

}  // namespace greta::runner
