#include "io/flags.h"

#include <gtest/gtest.h>

#include <set>

namespace greta::engine {
namespace {

Result<Flags> parse(std::vector<std::string> environment) { return Flags::parse(environment); }

TEST(Flags, TableIsConsistent) {
  std::set<std::string_view> names;
  for (const auto& flag : flag_table()) {
    EXPECT_TRUE(names.insert(flag.name).second) << flag.name;
    EXPECT_TRUE(flag.name.starts_with("GRETA_")) << flag.name;
    EXPECT_GT(flag.doc.size(), 20u) << flag.name;
    // The default passes the flag's own check.
    EXPECT_TRUE(parse({std::string(flag.name) + "=" + std::string(flag.default_value)}))
        << flag.name;
  }
}

TEST(Flags, DefaultsAndValuesWithTheirSource) {
  const auto flags =
      parse({"PATH=/bin", "GRETA_TRACE_STAGE=Yes", "GRETA_STORE=/x.sqlite",
             "GRETA_FORCE_ATTN_DECODE_KERNEL=manual", "GRETA_PREFILL_DECODE_SPAN=4"});
  ASSERT_TRUE(flags) << flags.error().str();
  EXPECT_TRUE(flags->boolean("GRETA_TRACE_STAGE"));
  EXPECT_TRUE(flags->boolean("GRETA_TRACE_READOUT"));
  EXPECT_FALSE(flags->boolean("GRETA_ATTN_DECODE_REF"));
  EXPECT_EQ(flags->text("GRETA_FORCE_ATTN_DECODE_KERNEL"), "manual");
  EXPECT_EQ(flags->text("GRETA_FORCE_ATTN_DECODE_MATMUL"), "auto");
  EXPECT_EQ(flags->integer("GRETA_PREFILL_DECODE_SPAN"), 4);
  EXPECT_EQ(flags->integer("GRETA_MAX_SEQ_LEN"), 0);
}

TEST(Flags, OnlyWhatWasAskedForCountsAsRead) {
  const auto flags = parse({"GRETA_ATTN_DECODE_REF=1", "GRETA_TRACE_STAGE=0"});
  ASSERT_TRUE(flags);
  flags->boolean("GRETA_TRACE_STAGE");
  for (const auto& flag : flags->effective()) {
    EXPECT_EQ(flag.read, flag.name == "GRETA_TRACE_STAGE") << flag.name;
    const bool given = flag.name == "GRETA_TRACE_STAGE" || flag.name == "GRETA_ATTN_DECODE_REF";
    EXPECT_EQ(flag.source, given ? "env" : "default") << flag.name;
  }
}

TEST(Flags, WhatHadNoEffectIsTold) {
  const auto flags = parse({"GRETA_ATTN_DECODE_REF=1", "GRETA_TRACE_STAGE=1",
                            "GRETA_TRACE_STAGE_PHASES=decode9", "GRETA_TRACE_STAGE_POSITIONS=7",
                            "GRETA_TRACE_W_POSITIONS=7", "GRETA_TRACE_KV_INVARIANTS=1"});
  ASSERT_TRUE(flags);
  using Lines = std::vector<std::string>;
  EXPECT_EQ(flags->without_effect().size(), 1u) << "nothing was read";
  for (const char* read : {"GRETA_TRACE_STAGE", "GRETA_TRACE_STAGE_PHASES",
                           "GRETA_TRACE_STAGE_POSITIONS", "GRETA_TRACE_W_POSITIONS"}) {
    flags->text(read);
  }
  const std::string unread =
      "set, but nothing in this run read it: GRETA_ATTN_DECODE_REF, GRETA_TRACE_KV_INVARIANTS";
  // Positions that no trace came to look at are not at fault.
  EXPECT_EQ(flags->without_effect(),
            (Lines{"GRETA_TRACE_STAGE_PHASES=decode9 matched no pass of this run", unread}));
  flags->looks("GRETA_TRACE_STAGE_PHASES")->tell(true);
  flags->looks("GRETA_TRACE_STAGE_POSITIONS")->tell(false);
  EXPECT_EQ(flags->without_effect(),
            (Lines{"GRETA_TRACE_STAGE_POSITIONS=7 matched no position of this run", unread}));
  flags->looks("GRETA_TRACE_STAGE_POSITIONS")->tell(true);
  flags->looks("GRETA_TRACE_STAGE_POSITIONS")->tell(false);
  EXPECT_EQ(flags->without_effect(), Lines{unread}) << "once is enough";
}

TEST(Flags, ListsLayersAndPhases) {
  const auto flags =
      parse({"GRETA_TRACE_ATTN_POINTS=q,attn_out", "GRETA_TRACE_ATTN_LAYERS=0,3-5,last",
             "GRETA_TRACE_ATTN_HEAD=2-4", "GRETA_TRACE_STAGE_PHASES=prefill_last,decode2"});
  ASSERT_TRUE(flags) << flags.error().str();
  EXPECT_TRUE(flags->selects("GRETA_TRACE_ATTN_POINTS", "attn_out"));
  EXPECT_FALSE(flags->selects("GRETA_TRACE_ATTN_POINTS", "k"));
  EXPECT_TRUE(flags->selects("GRETA_TRACE_STAGE_POINTS", "logits"));
  const auto chosen = [&](const char* name) {
    std::string out;
    for (int64_t i = 0; i < 8; ++i) out += flags->numbers(name).contains(i, 8) ? '1' : '0';
    return out;
  };
  EXPECT_EQ(chosen("GRETA_TRACE_ATTN_LAYERS"), "10011101");
  EXPECT_EQ(chosen("GRETA_TRACE_ATTN_HEAD"), "00111000");
  EXPECT_EQ(chosen("GRETA_TRACE_STAGE_HEADS"), "00000000");
  EXPECT_EQ(chosen("GRETA_TRACE_STAGE_POSITIONS"), "00000001");
  EXPECT_EQ(chosen("GRETA_TRACE_STAGE_LAYERS"), "11111111");
  EXPECT_TRUE(flags->selects("GRETA_TRACE_STAGE_PHASES", "decode2"));
  EXPECT_FALSE(flags->selects("GRETA_TRACE_STAGE_PHASES", "decode20"));
  const auto every = parse({"GRETA_TRACE_STAGE_PHASES=decode"});
  EXPECT_TRUE(every->selects("GRETA_TRACE_STAGE_PHASES", "decode20"));
  EXPECT_FALSE(every->selects("GRETA_TRACE_STAGE_PHASES", "prefill_last"));
}

TEST(Flags, LayersAndHeadsThatTheModelDoesNotHaveAreAnError) {
  const auto flags = parse({"GRETA_TRACE_ATTN_LAYERS=0,1,2,31"});
  EXPECT_TRUE(flags->fits(32, 1));
  EXPECT_EQ(flags->fits(8, 32).error().str(),
            "GRETA_TRACE_ATTN_LAYERS=0,1,2,31: expected layers of the model, which are 0 to 7");
  const auto heads = parse({"GRETA_TRACE_ATTN_HEAD=2-8,last"});
  EXPECT_TRUE(heads->fits(1, 9));
  EXPECT_EQ(heads->fits(9, 8).error().str(),
            "GRETA_TRACE_ATTN_HEAD=2-8,last: expected heads of the model, which are 0 to 7");
}

TEST(Flags, BadNamesAndValues) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"GRETA_TRACE_STGAE=1",
       "unknown flag GRETA_TRACE_STGAE (did you mean `GRETA_TRACE_STAGE`?); unset it, and "
       "`greta-infer describe` "
       "lists "
       "the flags"},
      {"GRETA_=1", "unknown flag GRETA_; unset it, and `greta-infer describe` lists the flags"},
      {"GRETA_TRACE_STAGE=2",
       "GRETA_TRACE_STAGE=2: expected 0 or 1 (also true, false, yes, no, on, off)"},
      {"GRETA_TRACE_STAGE=",
       "GRETA_TRACE_STAGE=: expected 0 or 1 (also true, false, yes, no, on, off)"},
      {"GRETA_FORCE_ATTN_DECODE_KERNEL=fusd",
       "GRETA_FORCE_ATTN_DECODE_KERNEL=fusd: expected one of auto, manual, fused (did you mean "
       "`fused`?)"},
      {"GRETA_MAX_SEQ_LEN=-1", "GRETA_MAX_SEQ_LEN=-1: expected a whole number from 0 to 16777216"},
      {"GRETA_MAX_SEQ_LEN=12x",
       "GRETA_MAX_SEQ_LEN=12x: expected a whole number from 0 to 16777216"},
      {"GRETA_PREFILL_DECODE_SPAN=0",
       "GRETA_PREFILL_DECODE_SPAN=0: expected a whole number from 1 to 65536"},
      {"GRETA_TRACE_ATTN_POINTS=q,attn",
       "GRETA_TRACE_ATTN_POINTS=q,attn: expected all, or a list of q, k, v, attn_out, x_out; "
       "`attn` is "
       "neither"},
      {"GRETA_TRACE_ATTN_LAYERS=5-2",
       "GRETA_TRACE_ATTN_LAYERS=5-2: expected all, or a list of layer numbers, ranges like 4-7 and "
       "last; "
       "`5-2` is neither"},
      {"GRETA_TRACE_ATTN_LAYERS=lats",
       "GRETA_TRACE_ATTN_LAYERS=lats: expected all, or a list of layer numbers, ranges like 4-7 "
       "and last; "
       "`lats` is neither (did you mean `last`?)"},
      {"GRETA_TRACE_ATTN_HEAD=first",
       "GRETA_TRACE_ATTN_HEAD=first: expected all, or a list of head numbers, ranges like 4-7 and "
       "last; `first` is neither"},
      {"GRETA_TRACE_STAGE_POSITIONS=3,",
       "GRETA_TRACE_STAGE_POSITIONS=3,: expected all, or a list of positions, ranges like 4-7 and "
       "last; `` is neither"},
      {"GRETA_TRACE_STAGE_PHASES=decodeX",
       "GRETA_TRACE_STAGE_PHASES=decodeX: expected all, or a list of prefill_last, decode, "
       "decode0, "
       "decode1 …; `decodeX` is neither (did you mean `decode`?)"},
      {"GRETA_TRACE_STAGE_OUT=/tmp/x.jsonl",
       "GRETA_TRACE_STAGE_OUT=/tmp/x.jsonl: expected the bare name of a file: outputs live in the "
       "folder "
       "--out"},
      {"GRETA_TRACE_STAGE_OUT=x.txt",
       "GRETA_TRACE_STAGE_OUT=x.txt: expected a name that ends in .jsonl, for records are looked "
       "for in such "
       "files"},
  };
  for (const auto& [entry, message] : cases) {
    const auto flags = parse({entry});
    ASSERT_FALSE(flags) << entry;
    EXPECT_EQ(flags.error().str(), message);
    EXPECT_EQ(flags.error().exit_code, 2);
  }
}

class RecordedNames : public Output {
 public:
  bool wanted() const override { return true; }
  Result<> write(std::string_view, const std::string&) override { return {}; }
  Result<> rename(std::string_view event, const std::string& file) override {
    names += std::string(event) + ">" + file + ";";
    return {};
  }
  Result<> write_file(const std::string&, const std::string&) override { return {}; }
  std::string names;
};

TEST(Flags, OutputNamesApplyOnlyToTracesThatAreOn) {
  const auto flags = parse({"GRETA_TRACE_STAGE_OUT=a.jsonl", "GRETA_TRACE_READOUT_OUT=b.jsonl"});
  RecordedNames output;
  ASSERT_TRUE(flags->apply_output_names(output));
  EXPECT_EQ(output.names, "readout>b.jsonl;");
  for (const auto& flag : flags->effective()) {
    if (flag.name == "GRETA_TRACE_STAGE_OUT") {
      EXPECT_FALSE(flag.read);
    }
  }
}

}  // namespace
}  // namespace greta::engine
