#include "contract/json_line.h"

#include <gtest/gtest.h>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "contract/records.gen.h"

namespace greta {
namespace {

TEST(JsonLine, WritesWhatReadsBack) {
  JsonLine line;
  line.field("s", "quote \" slash \\ tab \t é 🙂").field("i", int64_t{-9007199254740993});
  line.field("b", true).field("h", Hash64{0xfedcba9876543210ull});
  line.field("r", 0.1).field("tiny", 4.9e-324).field("l", std::vector<double>{1.5, -0.0});
  const std::string text = std::move(line).finish();
  ASSERT_EQ(text.back(), '\n');
  const auto j = nlohmann::json::parse(text);
  EXPECT_EQ(j["s"], "quote \" slash \\ tab \t é 🙂");
  EXPECT_EQ(j["i"], -9007199254740993);
  EXPECT_EQ(j["b"], true);
  EXPECT_EQ(j["h"], "fedcba9876543210");
  EXPECT_EQ(j["r"].get<double>(), 0.1);
  EXPECT_EQ(j["tiny"].get<double>(), 4.9e-324);
  EXPECT_TRUE(std::signbit(j["l"][1].get<double>()));
}

TEST(JsonLine, NotANumberIsSaidNotDropped) {
  const double inf = std::numeric_limits<double>::infinity();
  JsonLine line;
  line.field("a", std::nan("")).field("b", inf).field("c", -inf);
  EXPECT_EQ(std::move(line).finish(), "{\"a\":\"NaN\",\"b\":\"Infinity\",\"c\":\"-Infinity\"}\n");
}

TEST(JsonLine, AnyBytesGiveValidJson) {
  const std::vector<std::string> cases = {"\xff",
                                          "\xc3",
                                          "\xe2\x82",
                                          "\xed\xa0\x80",
                                          "\xf5\x80\x80\x80",
                                          std::string("\0x", 2),
                                          "\xc0\xaf",
                                          "ok\xf0\x9f"};
  for (const auto& bytes : cases) {
    JsonLine line;
    line.field("text", bytes);
    EXPECT_TRUE(nlohmann::json::accept(std::move(line).finish())) << bytes;
  }
}

TEST(Records, OptionalFieldsAreLeftOut) {
  record::StageTrace trace;
  trace.point = "x_in";
  const auto j = nlohmann::json::parse(trace.line("p4_sys"));
  EXPECT_EQ(j["event"], "stage_trace");
  EXPECT_EQ(j["request"], "p4_sys");
  EXPECT_EQ(j["point"], "x_in");
  EXPECT_FALSE(j.contains("sample"));
  EXPECT_TRUE(j.contains("rms"));
}

}  // namespace
}  // namespace greta
