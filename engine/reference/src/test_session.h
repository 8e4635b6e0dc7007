#pragma once
// What a test needs around a session: a small model's shape, a tokenizer that has nothing to say,
// and an output that keeps records as JSON.

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/output.h"
#include "model/model_config.h"
#include "tokenizer/tokenizer.h"

namespace greta::engine::testing {

// Grouped heads; more layers than two.
inline constexpr ModelConfig kSmallModel{.layers = 3,
                                         .dim = 32,
                                         .heads = 4,
                                         .kv_heads = 2,
                                         .head_dim = 8,
                                         .ffn = 64,
                                         .vocab = 50,
                                         .context = 64,
                                         .rms_eps = 1e-5f,
                                         .rope_base = 10000.0f,
                                         .tied_embeddings = false};

struct Letters : Tokenizer {
  std::vector<int32_t> encode(std::string_view, bool, bool) const override { return {}; }
  std::string piece(int32_t, bool) const override { return "x"; }
  int64_t size() const override { return kSmallModel.vocab; }
  bool adds_bos() const override { return false; }
  bool is_end(int32_t) const override { return false; }
};

struct Records : Output {
  std::map<std::string, std::vector<nlohmann::json>> by_event;
  bool wanted() const override { return true; }
  Result<> write(std::string_view event, const std::string& line) override {
    by_event[std::string(event)].push_back(nlohmann::json::parse(line));
    return {};
  }
  Result<> rename(std::string_view, const std::string&) override { return {}; }
  Result<> write_file(const std::string&, const std::string&) override { return {}; }
};

}  // namespace greta::engine::testing
