#include "cli/describe.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/effective.h"
#include "contract/schema.h"
#include "io/flags.h"

namespace greta::engine {
namespace {

using Json = nlohmann::json;

TEST(Describe, HoldsWhatTheContractAsksFor) {
  const Json json = Json::parse(describe_json());
  EXPECT_EQ(json["contract_version"], 1);
  EXPECT_EQ(json["engine"], "greta-infer");
  for (const char* key : {"commit", "dirty", "compiler", "flags"})
    EXPECT_TRUE(json["build"].contains(key));
  EXPECT_EQ(json["flags"].size(), flag_table().size());
  EXPECT_EQ(json["flags"][0]["choices"], (Json{"auto", "manual", "fused"}));
  for (const auto& backend : json["backends"]) {
    EXPECT_EQ(backend.contains("isa"), backend["available"].get<bool>()) << backend;
    EXPECT_EQ(backend.contains("why"), !backend["available"].get<bool>()) << backend;
  }
  const auto schema = parse_schema(json["records"].dump());
  ASSERT_TRUE(schema) << schema.error().str();
  EXPECT_TRUE(schema->find("attn_decode_verify"));
}

TEST(Describe, TextNamesEveryFlag) {
  const std::string text = describe_text();
  for (const auto& flag : flag_table())
    EXPECT_NE(text.find(flag.name), std::string::npos) << flag.name;
}

TEST(Describe, FlagsPageIsTheTable) {
  const char* const update = std::getenv("GRETA_UPDATE_GOLDENS");
  if (update != nullptr && *update != '\0') std::ofstream(FLAGS_PAGE) << flags_page();
  std::ostringstream page;
  page << std::ifstream(FLAGS_PAGE).rdbuf();
  EXPECT_EQ(page.str(), flags_page()) << "regenerate engine/FLAGS.md with GRETA_UPDATE_GOLDENS=1";
}

// The engine that ENGINE.md prints works as it stands there.
TEST(EnginePage, ItsScriptHonoursTheContract) {
  namespace fs = std::filesystem;
  std::ostringstream page;
  page << std::ifstream(ENGINE_PAGE).rdbuf();
  const std::string text = page.str();
  const size_t start = text.find("```sh\n") + 6, end = text.find("```", start);
  ASSERT_LT(start, end);
  const fs::path folder = fs::path(::testing::TempDir()) / "engine_page";
  fs::remove_all(folder);
  fs::create_directories(folder);
  std::ofstream(folder / "counter") << text.substr(start, end - start);
  std::ofstream(folder / "m") << "a model";
  std::ofstream(folder / "r.jsonl")
      << "{\"id\":\"a\",\"text\":\"x\"}\n{\"id\": \"b\",\"text\":\"yy\"}\n";
  const auto sh = [&](const std::string& arguments) {
    return std::system(
        ("cd " + folder.string() + " && env -i PATH=/usr/bin:/bin sh counter " + arguments)
            .c_str());
  };
  ASSERT_EQ(sh("describe --json >describe.json"), 0);
  const Json description = Json::parse(std::ifstream(folder / "describe.json"));
  const auto schema = parse_schema(description["records"].dump());
  ASSERT_TRUE(schema) << schema.error().str();
  ASSERT_EQ(sh("run --model m --requests r.jsonl --max-tokens 1 --out out"), 0);
  std::ifstream ends(folder / "out/request_end.jsonl");
  std::string line, ids;
  while (std::getline(ends, line)) ids += Json::parse(line)["request"].get<std::string>();
  EXPECT_EQ(ids, "ab");
  std::ifstream counts(folder / "out/count.jsonl");
  std::getline(counts, line);
  EXPECT_EQ(Json::parse(line)["bytes"], 21);
  EXPECT_TRUE(Json::parse(std::ifstream(folder / "out/effective.json"))["flags"].empty());
}

TEST(Effective, SaysWhatWasReadAndLaunched) {
  const std::vector<std::string> environment = {"GRETA_INJECT=gqa_map", "GRETA_ATTN_DECODE_REF=1"};
  const auto flags = Flags::parse(environment);
  ASSERT_TRUE(flags);
  flags->text("GRETA_INJECT");
  EffectiveRun run{
      .backend = "cpu", .isa = "avx2", .numerics = "strict", .kv_type = "f32", .threads = 2};
  run.kernels.push_back({"rope.cpu", "rope", "avx2", 0xabc, 64});
  const Json json = Json::parse(effective_json(run, *flags));
  EXPECT_EQ(json["injected"], "gqa_map");
  EXPECT_EQ(json["kernels"][0]["code_hash"], "0000000000000abc");
  EXPECT_EQ(json["kernels"][0]["launches"], 64);
  EXPECT_EQ(json["flags"].size(), flag_table().size());
  for (const auto& flag : json["flags"]) {
    EXPECT_EQ(flag["read"].get<bool>(), flag["name"] == "GRETA_INJECT") << flag;
  }
}

}  // namespace
}  // namespace greta::engine
