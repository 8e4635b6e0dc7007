#include "store/diff.h"

#include <algorithm>

#include "gates/compare_fixture.h"

namespace greta::store {
namespace {

class DiffRuns : public RunFixture {
 protected:
  Diff compare(const TestRun& a, const TestRun& b) {
    const int64_t first = add(a), second = add(b);
    auto found = diff(store(), first, second);
    EXPECT_TRUE(found) << found.error().str();
    return found ? *found : Diff{};
  }
};

const MetricDiff* find(const Diff& diff, const std::string& kind, const std::string& metric,
                       const std::string& key = "") {
  for (const MetricDiff& one : diff.metrics) {
    if (one.kind == kind && one.metric == metric && one.key.find(key) != std::string::npos) {
      return &one;
    }
  }
  return nullptr;
}

std::vector<std::string> whats(const Diff& diff) {
  std::vector<std::string> out;
  for (const Confounder& one : diff.confounders) out.push_back(one.what);
  return out;
}

TEST_F(DiffRuns, EqualRunsAreIdentical) {
  const Diff found = compare(clean_run(), clean_run());
  EXPECT_EQ(found.verdict, Verdict::identical) << found.reason;
  EXPECT_EQ(exit_code(found), 0);
  EXPECT_TRUE(found.confounders.empty()) << found.confounders[0].what;
  EXPECT_GT(found.matched, 100);
  EXPECT_EQ(found.matched, found.identical);
  EXPECT_EQ(found.only_a + found.only_b, 0);
}

TEST_F(DiffRuns, AddressesAreNeverCompared) {
  TestRun other = clean_run();
  for (Json& record : other.attempts[0].records["attn_decode_verify"]) {
    record["kv_base_ptr_k"] = "0xdead";
  }
  EXPECT_EQ(compare(clean_run(), other).verdict, Verdict::identical);
}

TEST_F(DiffRuns, ErrorsWithinTheirBoundsAreWithinFloor) {
  TestRun other = clean_run();
  for (Json& record : other.attempts[0].records["attn_decode_verify"]) {
    record["rel_l2"] = 0x1p-17;  // bound is 0x1p-16
    record["attn_out_max"] = record["attn_out_max"].get<double>() + 0x1p-20;
    record["attn_out_hash"] = "00000000000000ff";
  }
  const Diff found = compare(clean_run(), other);
  EXPECT_EQ(found.verdict, Verdict::within_floor) << found.reason;
  EXPECT_EQ(exit_code(found), 0);
  EXPECT_EQ(found.diverged, 0);
  const MetricDiff* rel_l2 = find(found, "attn_decode_verify", "rel_l2");
  ASSERT_NE(rel_l2, nullptr);
  EXPECT_EQ(rel_l2->floor, 0x1p-16);
  EXPECT_EQ(find(found, "attn_decode_verify", "attn_out_hash")->verdict, Verdict::within_floor);
}

TEST_F(DiffRuns, NamesTheFirstDivergenceInExecutionOrder) {
  TestRun other = clean_run();
  auto& records = other.attempts[0].records;
  // The larger one is later: the worst row is not the first place.
  records["readout"][3]["gap"] = 90.0;
  records["attn_decode_verify"][3]["rel_l2"] = 0.5;   // p1, layer 1, head 1
  records["attn_decode_verify"][6]["rel_l2"] = 0.25;  // p2, layer 1, head 0
  const Diff found = compare(clean_run(), other);
  EXPECT_EQ(found.verdict, Verdict::diverged);
  EXPECT_EQ(exit_code(found), 1);
  EXPECT_EQ(found.diverged, 3);
  EXPECT_NE(found.reason.find("attn_decode_verify.rel_l2"), std::string::npos) << found.reason;
  EXPECT_NE(found.reason.find("prompt=p2, phase=decode0, layer=1, head=0"), std::string::npos)
      << found.reason;
  EXPECT_EQ(found.metrics[0].metric, "gap");
  EXPECT_EQ(found.metrics[0].b, "90");
}

TEST_F(DiffRuns, AHashAloneIsADivergence) {
  // A permuted tensor keeps its statistics.
  TestRun other = clean_run();
  other.attempts[0].records["readout"][1]["logits_hash"] = "00000000000000ff";
  const Diff found = compare(clean_run(), other);
  EXPECT_EQ(found.verdict, Verdict::diverged);
  EXPECT_NE(found.reason.find("logits_hash"), std::string::npos) << found.reason;
}

TEST_F(DiffRuns, WholeNumbersHaveNoFloor) {
  TestRun other = clean_run();
  other.attempts[0].records["readout"][1]["top1_id"] = 9;
  const Diff found = compare(clean_run(), other);
  EXPECT_EQ(found.verdict, Verdict::diverged);
  EXPECT_EQ(find(found, "readout", "top1_id")->difference, 1);
  EXPECT_EQ(find(found, "readout", "top1_id")->floor, 0);
}

TEST_F(DiffRuns, NotANumberIsADivergence) {
  TestRun other = clean_run();
  other.attempts[0].records["readout"][1]["gap"] = "NaN";
  const Diff found = compare(clean_run(), other);
  EXPECT_EQ(found.verdict, Verdict::diverged) << found.reason;
  EXPECT_NE(found.reason.find("NaN"), std::string::npos) << found.reason;
}

TEST_F(DiffRuns, RepeatsGiveTheFloor) {
  TestRun noisy = clean_run();
  noisy.attempts.push_back(clean_attempt({}, 1));
  noisy.attempts[1].records["readout"][0]["gap"] = 0.75;  // 0.5 in repeat 0
  TestRun near = clean_run(), far = clean_run();
  near.attempts[0].records["readout"][0]["gap"] = 0.625;
  far.attempts[0].records["readout"][0]["gap"] = 1.25;
  const Diff within = compare(noisy, near);
  EXPECT_EQ(within.verdict, Verdict::within_floor) << within.reason;
  EXPECT_EQ(find(within, "readout", "gap", "p1")->floor, 2 * 0.25);
  EXPECT_EQ(compare(noisy, far).verdict, Verdict::diverged);
}

TEST_F(DiffRuns, AnotherModelIsNotComparable) {
  TestRun other = clean_run();
  other.environment["model.sha256"] = "bb22";
  const Diff found = compare(clean_run(), other);
  EXPECT_EQ(found.verdict, Verdict::not_comparable);
  EXPECT_EQ(exit_code(found), 5);
  EXPECT_NE(found.reason.find("another model"), std::string::npos) << found.reason;
  EXPECT_NE(found.reason_es.find("otro modelo"), std::string::npos) << found.reason_es;
  // The figures stand side by side all the same.
  EXPECT_EQ(find(found, "readout", "gap")->verdict, Verdict::not_comparable);
  EXPECT_EQ(find(found, "readout", "gap")->a, "0.5");
}

TEST_F(DiffRuns, AnUnknownModelIsNotComparable) {
  TestRun unknown = clean_run();
  unknown.environment.erase("model.sha256");
  unknown.environment.erase("model.file");
  const Diff found = compare(clean_run(), unknown);
  EXPECT_EQ(found.verdict, Verdict::not_comparable);
  EXPECT_NE(found.reason.find("not recorded"), std::string::npos) << found.reason;
  EXPECT_EQ(whats(found), (std::vector<std::string>{"model.file", "model.sha256"}));
  EXPECT_EQ(found.confounders[0].b, "not recorded");
  EXPECT_EQ(unknown_to('b', found.confounders), "") << "what decides has its row";
  // Unknown on both sides: nothing says that they differ.
  EXPECT_EQ(compare(unknown, unknown).verdict, Verdict::identical);
}

TEST_F(DiffRuns, WhatOneSideDoesNotKnowIsNamedWithoutARow) {
  TestRun more = clean_run(), less = clean_run();
  more.environment["compiler"] = "GNU 12.2.0";
  more.environment["model.layers"] = "8";
  more.environment["commit"] = "c0ffee";
  less.environment.erase("commit");
  const Diff found = compare(more, less);
  EXPECT_EQ(unknown_to('b', found.confounders), "model.layers, compiler");
  EXPECT_EQ(unknown_to('a', found.confounders), "");
  const std::string text = to_markdown(found, 2);
  EXPECT_NE(text.find("Not recorded in B, so they may differ"), std::string::npos) << text;
  EXPECT_EQ(text.find("| compiler"), std::string::npos) << text;
  EXPECT_NE(text.find("| commit"), std::string::npos) << text;
  EXPECT_NE(to_json(found).find("GNU 12.2.0"), std::string::npos);
}

TEST_F(DiffRuns, WhatTheSpecPutInTheEnvironmentIsAConfounder) {
  TestRun a = clean_run(), b = clean_run();
  a.environment["env.OMP_NUM_THREADS"] = "1";
  const Diff found = compare(a, b);
  ASSERT_EQ(found.confounders.size(), 1u);
  EXPECT_EQ(found.confounders[0].what, "env.OMP_NUM_THREADS");
  EXPECT_FALSE(found.confounders[0].background);
}

TEST_F(DiffRuns, AnEmptyValueIsNoneAndNotUnknown) {
  TestRun a = clean_run(), b = clean_run();
  a.environment["injected"] = "";
  b.environment["injected"] = "kv_layer_base";
  a.environment["patch"] = b.environment["patch"] = "";
  a.environment["only_here"] = "";
  const Diff found = compare(a, b);
  ASSERT_EQ(found.confounders.size(), 2u);
  EXPECT_EQ(found.confounders[0].what, "injected");
  EXPECT_EQ(found.confounders[0].a, "none");
  EXPECT_EQ(found.confounders[0].b, "kv_layer_base");
  EXPECT_FALSE(found.confounders[0].background);
  EXPECT_EQ(unknown_to('b', found.confounders), "only_here");
}

TEST_F(DiffRuns, AnotherShapeIsNotComparable) {
  TestRun other = clean_run();
  for (Json& record : other.attempts[0].records["attn_decode_verify"]) record["head_dim"] = 128;
  const Diff found = compare(clean_run(), other);
  EXPECT_EQ(found.verdict, Verdict::not_comparable);
  EXPECT_NE(found.reason.find("head_dim 32 / 128"), std::string::npos) << found.reason;
}

TEST_F(DiffRuns, PromptsOfOneNameWithOtherBytesAreNotComparable) {
  TestRun other = clean_run();
  other.prompts["p1"] = "Other";
  other.attempts[0].records["readout"][0]["gap"] = 9;
  const Diff found = compare(clean_run(), other);
  EXPECT_EQ(found.verdict, Verdict::not_comparable) << found.reason;
  EXPECT_EQ(find(found, "readout", "gap", "p1")->verdict, Verdict::not_comparable);
  EXPECT_EQ(find(found, "readout", "gap", "p2")->verdict, Verdict::identical);
  EXPECT_EQ(whats(found), std::vector<std::string>{"prompt.p1"});
}

TEST_F(DiffRuns, NothingInCommonIsSaid) {
  TestRun other = clean_run();
  other.prompts = {{"q1", "One"}, {"q2", "Two"}};
  for (auto& [kind, records] : other.attempts[0].records) {
    for (Json& record : records) record["request"] = record["request"] == "p1" ? "q1" : "q2";
  }
  const Diff found = compare(clean_run(), other);
  EXPECT_EQ(found.matched, 0);
  EXPECT_EQ(exit_code(found), 3);
  EXPECT_EQ(found.only_a, 12);
  EXPECT_EQ(found.only_b, 12);
}

TEST_F(DiffRuns, ConfoundersComeInTheOrderOfTheQuestions) {
  TestRun b = clean_run();
  b.provenance = "reenacted";
  b.environment = {{"zlib", "1.3"},          {"threads", "8"},       {"numerics", "fast"},
                   {"image", "sha"},         {"commit", "beef"},     {"tree", "t2"},
                   {"isa", "avx512"},        {"backend", "emu"},     {"device", "EPYC"},
                   {"model.file", "b.gguf"}, {"model.sha256", "cc"}, {"build_key", "k"}};
  b.attempts[0].flags = {
      {{"name", "GRETA_A"}, {"value", "1"}, {"source", "env"}, {"read", false}},
      {{"name", "GRETA_Z"}, {"value", "0"}, {"source", "default"}, {"read", true}}};
  b.prompts["p2"] = "Other";
  for (Json& record : b.attempts[0].records["attn_decode_verify"]) record["kernel_path"] = "fused";
  const Diff found = compare(clean_run(), b);
  EXPECT_EQ(whats(found),
            (std::vector<std::string>{"provenance", "model.file", "model.sha256", "device",
                                      "backend", "isa", "commit", "tree", "build_key", "image",
                                      "numerics", "threads", "flags.GRETA_A", "prompt.p2", "zlib",
                                      "attn_decode_verify.kernel_path"}));
  const auto flag = std::find_if(found.confounders.begin(), found.confounders.end(),
                                 [](const Confounder& c) { return c.what == "flags.GRETA_A"; });
  EXPECT_EQ(flag->a, "not set");
  EXPECT_EQ(flag->b, "1 (not read)");
}

TEST_F(DiffRuns, ArmsAreMatchedByTheirAxes) {
  TestRun a, b;
  a.attempts = {clean_attempt({{kKernelAxis, "manual"}}), clean_attempt({{kKernelAxis, "fused"}})};
  b.attempts = {clean_attempt({{kKernelAxis, "fused"}})};
  const Diff found = compare(a, b);
  ASSERT_EQ(found.variants.size(), 1u);
  EXPECT_TRUE(found.variants[0].same);
  EXPECT_EQ(found.verdict, Verdict::identical);
  EXPECT_EQ(found.only_a, 12);
  ASSERT_FALSE(found.one_sided.empty());
  EXPECT_NE(found.one_sided[0].what.find("manual"), std::string::npos);
  EXPECT_NE(std::find(whats(found).begin(), whats(found).end(), "variants"), whats(found).end());
}

TEST_F(DiffRuns, FiguresWithoutAnArmDoNotStandForAnotherArm) {
  TestRun a, b = clean_run();
  const auto flag = [](const char* value) {
    return std::vector<Json>{
        {{"name", kKernelAxis}, {"value", value}, {"source", "env"}, {"read", true}}};
  };
  a.attempts = {clean_attempt(), clean_attempt({{kKernelAxis, "fused"}})};
  a.attempts[0].flags = flag("manual|fused");
  b.attempts[0].flags = flag("fused");
  const Diff found = compare(a, b);
  ASSERT_EQ(found.variants.size(), 1u);
  EXPECT_NE(found.variants[0].a.find("fused"), std::string::npos) << found.variants[0].a;
  EXPECT_NE(found.reason.find("12 records have no partner"), std::string::npos) << found.reason;
}

TEST_F(DiffRuns, WithoutAnEqualArmTheNearestIsTakenAndSaid) {
  TestRun a = clean_run(), b;
  a.attempts[0].flags = {
      {{"name", kKernelAxis}, {"value", "fused"}, {"source", "env"}, {"read", true}}};
  b.attempts = {clean_attempt({{kKernelAxis, "manual"}}), clean_attempt({{kKernelAxis, "fused"}})};
  const Diff found = compare(a, b);
  ASSERT_EQ(found.variants.size(), 1u);
  EXPECT_FALSE(found.variants[0].same);
  EXPECT_NE(found.variants[0].b.find("fused"), std::string::npos);
  EXPECT_NE(found.variants[0].note.find("1 flags equal"), std::string::npos);
  EXPECT_NE(to_markdown(found, 20).find("Arms compared"), std::string::npos);
}

TEST_F(DiffRuns, FiguresOfALayerMeetThoseOfItsHeads) {
  TestRun layers = clean_run();
  auto& records = layers.attempts[0].records["attn_decode_verify"];
  records.clear();
  for (const std::string prompt : {"p1", "p2"}) {
    for (const int64_t layer : {0, 31}) {
      records.push_back({{"request", prompt},
                         {"phase", "decode0"},
                         {"layer", layer},
                         {"attn_out_mae", 0.125 * 0x1p-19},
                         {"rel_l2", 1.0},
                         {"kv_invariant_ok", true}});
    }
  }
  TestRun heads = clean_run();
  heads.attempts[0].records["attn_decode_verify"][1]["kv_invariant_ok"] = false;  // p1, layer 0
  const Diff found = compare(layers, heads);
  // Equal in every head: a figure of the layer. Different heads: not one figure.
  const MetricDiff* mae = find(found, "attn_decode_verify", "attn_out_mae", "prompt=p1");
  ASSERT_NE(mae, nullptr);
  EXPECT_EQ(mae->key, "prompt=p1, phase=decode0, layer=0");
  EXPECT_EQ(find(found, "attn_decode_verify", "rel_l2"), nullptr);
  // One head's failed invariant is the layer's.
  const MetricDiff* ok = find(found, "attn_decode_verify", "kv_invariant_ok", "prompt=p1");
  ASSERT_NE(ok, nullptr);
  EXPECT_EQ(ok->a, "true");
  EXPECT_EQ(ok->b, "false");
  // Layer 31 there is not layer 1 here.
  EXPECT_EQ(found.only_a, 2);
  EXPECT_EQ(found.only_b, 2);
  const bool said = std::any_of(
      found.one_sided.begin(), found.one_sided.end(),
      [](const OneSided& one) { return one.what.find("layer 31") != std::string::npos; });
  EXPECT_TRUE(said);
}

TEST_F(DiffRuns, MarkdownSaysHowManyRowsItLeftOut) {
  TestRun other = clean_run();
  for (Json& record : other.attempts[0].records["readout"]) {
    record["gap"] = record["gap"].get<double>() + 1;
    record["top1_text"] = "x|y";
  }
  const Diff found = compare(clean_run(), other);
  const std::string text = to_markdown(found, 2);
  EXPECT_NE(text.find("6 more (--top 8)"), std::string::npos) << text;
  EXPECT_NE(to_markdown(found, 8).find("␣a\\|b⏎"), std::string::npos);
  const auto parsed = Json::parse(to_json(found));
  EXPECT_EQ(parsed["verdict"], "diverged");
  EXPECT_EQ(parsed["metrics"].size(), static_cast<size_t>(found.matched));
}

}  // namespace
}  // namespace greta::store
