#pragma once
// An experiment of a test: a spec in a folder of its own, with the shell engines of
// testdata/engines and a store beside it.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "run/attempt.h"
#include "run/run.h"
#include "system/files.h"
#include "system/test_cancel.h"
#include "system/test_folder.h"

namespace greta::runner {

class Experiment : public testing::Test {
 protected:
  void SetUp() override {
    // Nothing of the user's caches may reach a test, nor the other way round.
    setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1);
    context_.store_path = folder_ / ".greta/store.sqlite";
    context_.verbosity = 0;
    folder_.write("model.gguf", "not a model, but some bytes");
  }

  static std::string engines() { return std::string(RUNNER_TESTDATA) + "/engines/"; }

  // A spec for contract.sh; `more` is YAML at the top level.
  std::filesystem::path spec(const std::string& more, const std::string& name = "T1") const {
    return folder_.write(name + ".yaml",
                         "schema: 1\nmilestone: " + name + "\nmodel: {file: model.gguf}\n" +
                             "prompts: [{id: a, text: hello}, {id: b, text: hi there}]\n" +
                             (more.find("engine:") == std::string::npos
                                  ? "engine: {binary: " + engines() + "contract.sh}\n"
                                  : "") +
                             more);
  }

  Result<int> run(const std::filesystem::path& file, RunOptions options = {},
                  const Cancel* cancel = nullptr) {
    if (options.executor.empty()) options.executor = "host";
    Progress progress({.terminal = false, .json = false, .verbosity = 0});
    testing::internal::CaptureStdout();
    auto code =
        run_spec(context_, options, file.string(), progress, cancel != nullptr ? *cancel : kNever);
    printed_ = testing::internal::GetCapturedStdout();
    return code;
  }

  // The rows of a query as "a|b\nc|d\n".
  std::string query(const std::string& sql) const {
    auto store = context_.open_store(store::Access::read_only);
    if (!store) return store.error().str();
    const auto table = store->query(sql);
    if (!table) return table.error().str();
    std::string out;
    for (const auto& row : table->rows) {
      for (size_t i = 0; i < row.size(); ++i) {
        out += i > 0 ? "|" : "";
        switch (row[i].type) {
          case store::Value::Type::null:
            out += "null";
            break;
          case store::Value::Type::integer:
            out += std::to_string(row[i].integer);
            break;
          case store::Value::Type::real:
            out += std::to_string(row[i].real);
            break;
          default:
            out += row[i].text;
        }
      }
      out += "\n";
    }
    return out;
  }

  TestFolder folder_;
  Context context_;
  std::string printed_;
};

}  // namespace greta::runner
