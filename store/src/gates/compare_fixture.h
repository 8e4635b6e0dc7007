#pragma once
// Hand-made runs for the tests of gates, diff, lints and report: records in a few words, written as
// sealed bundles and ingested like those of an engine.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "store/store.h"

namespace greta::store {

using Json = nlohmann::ordered_json;

// What most of these runs vary.
inline constexpr auto kKernelAxis = "GRETA_FORCE_ATTN_DECODE_KERNEL";

// One engine process: a variant and repeat that serves every prompt.
struct TestAttempt {
  std::map<std::string, std::string> axes;
  int64_t repeat = 0;
  std::string status = "ok", reason;
  std::map<std::string, std::vector<Json>> records;  // kind → records; "request" names the prompt
  std::vector<Json> flags, kernels;                  // as in effective.json
  double wall_s = 1;
};

struct TestRun {
  std::string milestone = "T1";
  Json title = {{"en", "A test"}, {"es", "Una prueba"}};
  Json prose = Json::object();
  std::vector<std::string> baseline;
  std::string provenance = "executed";
  std::map<std::string, std::string> environment = {
      {"commit", "c0ffee"}, {"model.sha256", "aa11"}, {"model.file", "tiny.gguf"},
      {"backend", "cpu"},   {"isa", "avx2"},          {"numerics", "strict"}};
  std::map<std::string, std::string> prompts = {{"p1", "One"}, {"p2", "Two"}};
  std::vector<TestAttempt> attempts;
};

class RunFixture : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    root_ = std::filesystem::path(testing::TempDir()) /
            (std::string("greta-") + test->test_suite_name() + "-" + test->name() + "-" +
             std::to_string(::getpid()));
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
    auto opened = Store::open(root_ / "store.sqlite", Access::read_write);
    ASSERT_TRUE(opened) << opened.error().str();
    store_ = std::make_unique<Store>(std::move(*opened));
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(root_);
  }

  // Returns the number of the run; `name_` holds its name.
  int64_t add(const TestRun& run) {
    RunStart start;
    start.milestone = run.milestone;
    start.title_json = run.title.dump();
    start.prose_json = run.prose.dump();
    start.spec_path = "test.yaml";
    start.resolved_json = "{}";
    start.baseline = run.baseline;
    start.provenance = run.provenance;
    auto name = store_->begin_run(start);
    EXPECT_TRUE(name) << name.error().str();
    if (!name) return -1;
    name_ = *name;
    bool failed = false;
    for (const TestAttempt& attempt : run.attempts) {
      add_attempt(run, attempt);
      failed |= attempt.status != "ok";
    }
    const auto finished =
        store_->finish_run(name_, failed ? RunStatus::failed : RunStatus::complete, "");
    EXPECT_TRUE(finished) << finished.error().str();
    const auto id = store_->resolve(name_);
    EXPECT_TRUE(id) << id.error().str();
    return id ? *id : -1;
  }

  Store& store() { return *store_; }
  std::filesystem::path root_;
  std::string name_;

 private:
  static std::string write(const std::filesystem::path& file, const std::string& text) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    return sha256_hex(text);
  }

  static std::string variant_name(const TestAttempt& attempt) {
    std::string name;
    for (const auto& [axis, value] : attempt.axes) {
      name += (name.empty() ? "" : ",") + axis + "=" + value;
    }
    return name.empty() ? "default" : name;
  }

  void add_attempt(const TestRun& run, const TestAttempt& attempt) {
    const auto folder = root_ / ("bundle" + std::to_string(++bundles_));
    Json files = Json::array();
    const auto add_file = [&](const std::string& name, const std::string& text, Json entry) {
      entry["name"] = name;
      entry["bytes"] = text.size();
      entry["sha256"] = write(folder / name, text);
      files.push_back(std::move(entry));
    };
    for (const auto& [kind, records] : attempt.records) {
      std::string text;
      for (const Json& record : records) text += record.dump() + "\n";
      add_file("out/" + kind + ".jsonl", text, {{"role", "records"}, {"kind", kind}});
    }
    const Json effective = {
        {"contract_version", 1},
        {"engine", "test"},
        {"flags", attempt.flags.empty() ? Json::array() : Json(attempt.flags)},
        {"kernels", attempt.kernels.empty() ? Json::array() : Json(attempt.kernels)}};
    add_file("out/effective.json", effective.dump(), {{"role", "effective"}});
    Json prompts = Json::object(), cells = Json::array();
    for (const auto& [id, text] : run.prompts) {
      prompts[id] = {{"sha256", sha256_hex(text)}, {"text", text}};
      cells.push_back({{"identity", identity(run, attempt, id)},
                       {"prompt", id},
                       {"request", id},
                       {"status", attempt.status},
                       {"reason", attempt.reason}});
    }
    const Json manifest = {{"manifest", 1},
                           {"provenance", run.provenance},
                           {"status", attempt.status},
                           {"exit_code", attempt.status == "ok" ? 0 : 1},
                           {"signal", nullptr},
                           {"reason", attempt.reason},
                           {"started_at", "2026-02-03T10:00:00.000Z"},
                           {"ended_at", "2026-02-03T10:00:01.000Z"},
                           {"wall_s", attempt.wall_s},
                           {"contract_version", 1},
                           {"milestone", run.milestone},
                           {"executor", "host"},
                           {"argv", {"engine", "run", std::to_string(bundles_)}},
                           {"variant", variant_name(attempt)},
                           {"variant_axes", Json(attempt.axes)},
                           {"repeat", attempt.repeat},
                           {"cells", cells},
                           {"environment", Json(run.environment)},
                           {"flags", Json::object()},
                           {"prompts", prompts},
                           {"files", files}};
    write(folder / "manifest.json", manifest.dump());
    const auto hash = store_->ingest_bundle(folder);
    ASSERT_TRUE(hash) << hash.error().str();
    for (const auto& [id, text] : run.prompts) {
      CellRow cell;
      cell.identity = identity(run, attempt, id);
      cell.variant = variant_name(attempt);
      cell.variant_json = Json(attempt.axes).dump();
      cell.prompt = cell.request = id;
      cell.repeat = attempt.repeat;
      cell.status = attempt.status;
      cell.reason = attempt.reason;
      cell.bundle = *hash;
      const auto added = store_->add_cell(name_, cell);
      ASSERT_TRUE(added) << added.error().str();
    }
  }

  std::string identity(const TestRun& run, const TestAttempt& attempt, const std::string& prompt) {
    return sha256_hex(run.milestone + variant_name(attempt) + prompt +
                      std::to_string(attempt.repeat) + std::to_string(bundles_));
  }

  std::unique_ptr<Store> store_;
  int bundles_ = 0;
};

inline Json readout(const std::string& prompt, int64_t step, double gap) {
  return {{"request", prompt},
          {"phase", step == 0 ? "prefill_last" : "decode" + std::to_string(step - 1)},
          {"step", step},
          {"token_index", 0},
          {"expected_last_index", 0},
          {"readout_mismatch", false},
          {"logits_hash", sha256_hex(prompt + std::to_string(step)).substr(0, 16)},
          {"logits_min", -10.5},
          {"logits_max", 12.25},
          {"top1_id", 7 + step},
          {"top1_text", " a|b\n"},
          {"gap", gap},
          {"entropy", 2.5 + gap},
          {"vocab", 8192},
          {"nan", 0}};
}

// A layer and head whose error is `share` of its bound.
inline Json verify(const std::string& prompt, int64_t layer, int64_t head, double share = 0.125) {
  const double bound = 0x1p-16;
  const std::string hash = sha256_hex(prompt + std::to_string(layer)).substr(0, 16);
  return {{"request", prompt},
          {"phase", "decode0"},
          {"step", 1},
          {"layer", layer},
          {"head", head},
          {"seq_len_used", 46},
          {"kernel_path", "manual"},
          {"kernel_hash", "00000000000000aa"},
          {"kernel_ids", "rope.cpu+attn.cpu"},
          {"num_heads", 2},
          {"head_dim", 32},
          {"attn_out_hash", hash},
          {"attn_out_min", -0.5 - 0.01 * static_cast<double>(layer)},
          {"attn_out_max", 0.75},
          {"attn_out_mae", share * bound / 8},
          {"rel_l2", share * bound * static_cast<double>(1 + head) / 2},
          {"bound", bound},
          {"ref_rms", 0.25},
          {"kv_base_ptr_k", "0x7f00" + hash},
          {"kv_invariant_ok", true},
          {"kv_error", ""}};
}

// Two prompts, two steps, two layers of two heads, nothing wrong with them.
inline TestAttempt clean_attempt(std::map<std::string, std::string> axes = {}, int64_t repeat = 0) {
  TestAttempt attempt;
  attempt.axes = std::move(axes);
  attempt.repeat = repeat;
  double gap = 0.5;
  for (const std::string prompt : {"p1", "p2"}) {
    for (int64_t step = 0; step < 2; ++step) {
      attempt.records["readout"].push_back(readout(prompt, step, gap));
      gap += 0.125;
    }
    for (int64_t layer = 0; layer < 2; ++layer) {
      for (int64_t head = 0; head < 2; ++head) {
        attempt.records["attn_decode_verify"].push_back(verify(prompt, layer, head));
      }
    }
  }
  return attempt;
}

inline TestRun clean_run() {
  TestRun run;
  run.attempts = {clean_attempt()};
  return run;
}

}  // namespace greta::store
