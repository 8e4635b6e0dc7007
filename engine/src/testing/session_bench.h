#pragma once
// A session over a small model, and what it wrote.

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "session/session.h"
#include "testing/test_model.h"

namespace greta::engine::testing {

struct Bench {
  Model model{odd_config(), {TensorType::f16}};
  Flags flags;
  BackendOptions options;
  NumberTokenizer tokenizer{odd_config().vocab};
  MemoryOutput output;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Session> session;

  explicit Bench(std::vector<std::string> environment = {}, BackendOptions chosen = {.max_seq = 40},
                 const std::string& inject = "", std::vector<std::unique_ptr<Probe>> probes = {})
      : flags(flags_of(environment)), options(chosen) {
    backend =
        cpu_backend(model, {.options = options, .environment = environment, .inject = inject});
    auto made = Session::create({.backend = *backend,
                                 .file = model.file,
                                 .tokenizer = tokenizer,
                                 .config = model.config,
                                 .options = options,
                                 .flags = flags,
                                 .output = output,
                                 .load_s = 0.5,
                                 .probes = std::move(probes)});
    EXPECT_TRUE(made) << made.error().str();
    session = *std::move(made);
  }
  Result<Generation> run(int64_t prompt, int64_t max_tokens, const std::string& id = "r") {
    return session->run({.id = id,
                         .prompt_tokens = some_tokens(prompt, model.config.vocab),
                         .max_tokens = max_tokens});
  }
  const std::vector<nlohmann::json>& of(const std::string& event) { return output.records[event]; }
};

}  // namespace greta::engine::testing
