#include "spec/plan.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "spec/matrix.h"
#include "spec/prompts.h"

namespace greta::runner {
namespace {

Prompt text_prompt(const std::string& id, const std::string& text) {
  Prompt prompt;
  prompt.id = id;
  prompt.text = text;
  hash_prompt(prompt);
  return prompt;
}

Spec small_spec() {
  Spec spec;
  spec.file = "/x/spec.yaml";
  spec.milestone = "M";
  spec.engines.resize(1);
  spec.engines[0].adapter.sha256 = "adapter";
  spec.prompts = {text_prompt("a", "Hi"), text_prompt("b", "Q:")};
  spec.flags = {{"GRETA_A", "1"}};
  spec.env = {{"LANG", "C"}};
  spec.matrix = {{"GRETA_K", {"manual", "fused"}}, {"decode.threads", {"1", "2"}}};
  spec.repeat = 2;
  return spec;
}

ResolvedInputs small_inputs() {
  return {.engines = {{.contract_version = 1, .build_key = "key", .isa = "avx2"}},
          .device = "cpu model",
          .model_sha256 = "model"};
}

TEST(Plan, OrderNamesAndAttempts) {
  const auto plan = make_plan(small_spec(), small_inputs());
  ASSERT_TRUE(plan) << plan.error().str();
  ASSERT_EQ(plan->variants.size(), 4u);
  EXPECT_EQ(plan->variants[0].name, "GRETA_K=manual,decode.threads=1");
  EXPECT_EQ(plan->variants[1].name, "GRETA_K=manual,decode.threads=2");
  EXPECT_EQ(plan->variants[1].decode.threads, 2);
  EXPECT_EQ(plan->variants[3].flags,
            (std::map<std::string, std::string>{{"GRETA_A", "1"}, {"GRETA_K", "fused"}}));
  ASSERT_EQ(plan->cells.size(), 16u);
  EXPECT_EQ(plan->cells[0].prompt, 0u);
  EXPECT_EQ(plan->cells[1].prompt, 1u);
  EXPECT_EQ(plan->cells[2].repeat, 1);
  EXPECT_EQ(plan->cells[4].variant, 1u);
  ASSERT_EQ(plan->attempts.size(), 8u);  // one a variant and repeat
  EXPECT_EQ(plan->attempts[1], (std::vector<size_t>{2, 3}));

  Spec spec = small_spec();
  spec.isolation = Isolation::request;
  const auto apart = make_plan(spec, small_inputs());
  ASSERT_TRUE(apart);
  EXPECT_EQ(apart->attempts.size(), 16u);
}

TEST(Plan, WithoutAMatrixThereIsOneVariant) {
  Spec spec = small_spec();
  spec.matrix.clear();
  const auto variants = expand_variants(spec);
  ASSERT_TRUE(variants);
  ASSERT_EQ(variants->size(), 1u);
  EXPECT_EQ((*variants)[0].name, "default");
}

TEST(Plan, AnAxisOfOneValueIsNoPartOfTheName) {
  Spec spec = small_spec();
  spec.matrix = {{"GRETA_A", {"1"}}, {"GRETA_K", {"manual", "fused"}}};
  const auto variants = expand_variants(spec);
  ASSERT_TRUE(variants);
  EXPECT_EQ((*variants)[1].name, "GRETA_K=fused");
  EXPECT_EQ((*variants)[1].axes.at("GRETA_A"), "1") << "it is an axis all the same";
  spec.matrix = {{"GRETA_A", {"1"}}, {"GRETA_K", {"manual"}}};
  EXPECT_EQ(expand_variants(spec)->at(0).name, "GRETA_A=1,GRETA_K=manual");
}

TEST(Plan, IncludeKeepsAndExcludeDrops) {
  Spec spec = small_spec();
  spec.include = {{{"GRETA_K", "fused"}}, {{"decode.threads", "1"}}};
  spec.exclude = {{{"GRETA_K", "fused"}, {"decode.threads", "1"}}};
  const auto variants = expand_variants(spec);
  ASSERT_TRUE(variants) << variants.error().str();
  ASSERT_EQ(variants->size(), 2u);
  EXPECT_EQ((*variants)[0].name, "GRETA_K=manual,decode.threads=1");
  EXPECT_EQ((*variants)[1].name, "GRETA_K=fused,decode.threads=2");
}

TEST(Plan, TrimmingThatCannotBeMeantIsRefused) {
  Spec spec = small_spec();
  spec.places["exclude[1]"] = {"spec.yaml", 7, 5};
  spec.exclude = {{{"GRETA_K", "fused"}}, {{"GRETA_K", "split"}}};
  auto variants = expand_variants(spec);
  ASSERT_FALSE(variants);
  EXPECT_EQ(variants.error().str(), "spec.yaml:7:5: `exclude[1]` matches no point of the matrix");
  spec.exclude = {{{"GRETA_K", "fused"}}, {{"GRETA_K", "manual"}}};
  variants = expand_variants(spec);
  ASSERT_FALSE(variants);
  EXPECT_EQ(variants.error().message, "`include` and `exclude` leave no variant");
}

TEST(Plan, SizeHasALimit) {
  Spec spec = small_spec();
  spec.repeat = 10'000;
  for (int i = 0; i < 200; ++i) spec.prompts.push_back(spec.prompts[0]);
  const auto plan = make_plan(spec, small_inputs());
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().message, "the plan has more than 1000000 cells");
}

// The identity is a promise to every store that exists: a change here makes all past cells
// strangers.
TEST(Identity, IsWhatItWas) {
  const auto plan = make_plan(small_spec(), small_inputs());
  ASSERT_TRUE(plan);
  const Cell& cell = plan->cells[3];
  EXPECT_EQ(
      cell.identity_json,
      R"({"adapter":"adapter","build_key":"key","contract_version":1,"decode":{"backend":"auto",)"
      R"("kv_type":"f32","max_tokens":1,"numerics":"strict","threads":1},"device":"cpu model",)"
      R"("env":{"LANG":"C"},"flags":{"GRETA_A":"1","GRETA_K":"manual"},"isa":"avx2",)"
      R"("isolation":"process","model_sha256":"model","prompt":{"form":"text","sha256":)"
      R"("c042f940a639b9cdf6730c3883fb63804de8d57753baefe21047906aeff7c623"},"repeat":1})");
  EXPECT_EQ(cell.identity, "69f3809a53ba256b89294d1009cbc00e9cb7d84d2d06d0dd12cb944b00a595e0");
}

TEST(Identity, IsCanonicalJson) {
  const auto plan = make_plan(small_spec(), small_inputs());
  ASSERT_TRUE(plan);
  for (const Cell& cell : plan->cells) {
    EXPECT_EQ(nlohmann::json::parse(cell.identity_json).dump(), cell.identity_json);
  }
}

struct Change {
  const char* what;
  std::function<void(Spec&, ResolvedInputs&)> apply;
};

std::string identity_of_first(const Change* change) {
  Spec spec = small_spec();
  ResolvedInputs inputs = small_inputs();
  if (change != nullptr) change->apply(spec, inputs);
  const auto plan = make_plan(spec, inputs);
  EXPECT_TRUE(plan);
  return plan->cells[0].identity;
}

TEST(Identity, ChangesWithEverythingThatCanChangeAResult) {
  const Change kChanges[] = {
      {"contract", [](Spec&, ResolvedInputs& i) { i.engines[0].contract_version = 2; }},
      {"build", [](Spec&, ResolvedInputs& i) { i.engines[0].build_key = "other"; }},
      {"device", [](Spec&, ResolvedInputs& i) { i.device = "other"; }},
      {"isa", [](Spec&, ResolvedInputs& i) { i.engines[0].isa = "avx512"; }},
      {"model", [](Spec&, ResolvedInputs& i) { i.model_sha256 = "other"; }},
      {"adapter", [](Spec& s, ResolvedInputs&) { s.engines[0].adapter.sha256 = "other"; }},
      {"secret", [](Spec& s, ResolvedInputs&) { s.secrets = {"TOKEN"}; }},
      {"max_tokens", [](Spec& s, ResolvedInputs&) { s.decode.max_tokens = 2; }},
      {"backend", [](Spec& s, ResolvedInputs&) { s.decode.backend = "ref"; }},
      {"numerics", [](Spec& s, ResolvedInputs&) { s.decode.numerics = "fast"; }},
      {"kv_type", [](Spec& s, ResolvedInputs&) { s.decode.kv_type = "f16"; }},
      {"threads",
       [](Spec& s, ResolvedInputs&) {
         s.matrix[1].second = {"3", "4"};
       }},
      {"isolation", [](Spec& s, ResolvedInputs&) { s.isolation = Isolation::request; }},
      {"flag value", [](Spec& s, ResolvedInputs&) { s.flags["GRETA_A"] = "0"; }},
      {"flag added", [](Spec& s, ResolvedInputs&) { s.flags["GRETA_B"] = "1"; }},
      {"flag removed", [](Spec& s, ResolvedInputs&) { s.flags.clear(); }},
      {"axis value", [](Spec& s, ResolvedInputs&) { s.matrix[0].second[0] = "split"; }},
      {"env", [](Spec& s, ResolvedInputs&) { s.env["LANG"] = "es"; }},
      {"prompt", [](Spec& s, ResolvedInputs&) { s.prompts[0] = text_prompt("a", "Hi "); }},
      {"tokens",  // the ids, written down as a text, are another prompt
       [](Spec& s, ResolvedInputs&) {
         s.prompts[0].text.reset();
         s.prompts[0].tokens = {1, 2};
         hash_prompt(s.prompts[0]);
       }},
      {"their text", [](Spec& s, ResolvedInputs&) { s.prompts[0] = text_prompt("a", "[1,2]"); }},
  };
  std::set<std::string> seen = {identity_of_first(nullptr)};
  for (const Change& change : kChanges) {
    EXPECT_TRUE(seen.insert(identity_of_first(&change)).second) << change.what;
  }
  const auto plan = make_plan(small_spec(), small_inputs());
  std::set<std::string> cells;
  for (const Cell& cell : plan->cells) cells.insert(cell.identity);
  EXPECT_EQ(cells.size(), plan->cells.size());  // variant, prompt and repeat
}

TEST(Identity, IgnoresWhatCannotChangeAResult) {
  const Change kChanges[] = {
      {"title", [](Spec& s, ResolvedInputs&) { s.title_json = R"({"en":"x"})"; }},
      {"prose", [](Spec& s, ResolvedInputs&) { s.prose_json = R"({"question":{"en":"x"}})"; }},
      {"milestone", [](Spec& s, ResolvedInputs&) { s.milestone = "N"; }},
      {"expect", [](Spec& s, ResolvedInputs&) { s.expect.resize(2); }},
      {"baseline", [](Spec& s, ResolvedInputs&) { s.baseline = {"B3.20"}; }},
      {"limits",
       [](Spec& s, ResolvedInputs&) {
         s.limits = {1, 2, 3, 4};
       }},
      {"file", [](Spec& s, ResolvedInputs&) { s.file = "/y/z.yaml"; }},
      {"text", [](Spec& s, ResolvedInputs&) { s.text = "# a comment"; }},
      {"prompt id", [](Spec& s, ResolvedInputs&) { s.prompts[0].id = "c"; }},
      {"model path", [](Spec& s, ResolvedInputs&) { s.model_file = "/y/m.gguf"; }},
      {"engine path", [](Spec& s, ResolvedInputs&) { s.engines[0].binary = "/y/engine"; }},
      {"commit",
       [](Spec& s, ResolvedInputs&) { s.engines[0].commit = "HEAD"; }},  // is in the build key
      {"more repeats", [](Spec& s, ResolvedInputs&) { s.repeat = 5; }},
      {"more variants", [](Spec& s, ResolvedInputs&) { s.matrix[0].second.push_back("x"); }},
      {"warnings", [](Spec& s, ResolvedInputs&) { s.warnings = {"w"}; }},
  };
  for (const Change& change : kChanges) {
    EXPECT_EQ(identity_of_first(&change), identity_of_first(nullptr)) << change.what;
  }
}

TEST(Plan, TenThousandCellsAreQuick) {
  Spec spec = small_spec();
  for (int i = 0; i < 30; ++i) spec.flags["GRETA_FLAG_" + std::to_string(i)] = "1";
  spec.matrix.clear();
  for (const char* axis : {"GRETA_A1", "GRETA_A2", "GRETA_A3"}) {
    spec.matrix.push_back({axis, {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}});
  }
  spec.repeat = 5;
  const auto start = std::chrono::steady_clock::now();
  const auto plan = make_plan(spec, small_inputs());
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->cells.size(), 10'000u);
  EXPECT_LT(elapsed.count(),
            5);  // 0.06 s in a release build; sanitizers and busy machines get room
}

}  // namespace
}  // namespace greta::runner
