#include "tables/ingest_line.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

namespace greta::store {
namespace {

// "state key:type=text …", so that a case is one line.
std::string parsed(const std::string& line) {
  LineParser parser;
  LineValues values;
  const std::string padded = line + std::string(LineParser::kPadding, ' ');
  const LineState state = parser.parse({padded.data(), line.size()}, values);
  constexpr const char* kTypes[] = {"null",    "text",      "int",  "bigint", "real",
                                    "bigreal", "nonfinite", "bool", "json"};
  std::string out(to_string(state));
  for (const LineField& f : values.fields)
    out += " " + std::string(f.key) + ":" + kTypes[static_cast<int>(f.type)] + "=" +
           std::string(f.text);
  return out;
}

TEST(LineParser, TakesALineApart) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"a":1,"b":-2.50e-3,"c":"x","d":true,"e":null})",
       "ok a:int=1 b:real=-2.50e-3 c:text=x d:bool=true e:null="},
      {R"(  { "a" : [1, {"b":"]}"}] , "c" : {} }  )", R"(ok a:json=[1, {"b":"]}"}] c:json={})"},
      {R"({})", "ok"},
      {R"({"a\u00e9":"\ud83d\ude00\n\"\\"})", "ok aé:text=😀\n\"\\"},
      {R"({"":""})", "ok :text="},
      {"{\"a\":1}\r", "ok a:int=1"},
      {R"({"a":1,"a":2})", "ok a:int=1 a:int=2"},
      {R"({"i":9223372036854775807,"j":-9223372036854775808})",
       "ok i:int=9223372036854775807 j:int=-9223372036854775808"},
      {R"({"i":9223372036854775808,"j":18446744073709551615})",
       "ok i:bigint=9223372036854775808 j:bigint=18446744073709551615"},
      {R"({"i":123456789012345678901234567890,"x":1e400,"y":1e-400})",
       "ok i:bigint=123456789012345678901234567890 x:bigreal=1e400 y:bigreal=1e-400"},
      {R"({"z":-0})", "ok z:real=-0"},
      {R"({"x":NaN,"y":-Infinity,"z":inf,"n":-nan,"t":"nan"})",
       "nonstandard x:nonfinite=NaN y:nonfinite=-Infinity z:nonfinite=Infinity n:nonfinite=NaN "
       "t:text=nan"},
      {"\xef\xbb\xbf{\"a\":1}", "nonstandard a:int=1"},
      {"", "blank"},
      {" \t\r", "blank"},
  };
  for (const auto& [line, expected] : cases) EXPECT_EQ(parsed(line), expected) << line;
}

TEST(LineParser, RefusesWhatIsNoJsonObject) {
  const char* cases[] = {R"([1])",           R"("a")",        R"(1)",
                         R"(null)",          R"({"a":1)",     R"({"a":1}})",
                         R"({"a":1} x)",     R"({"a":1,})",   R"({a:1})",
                         R"({"a":01})",      R"({"a":+1})",   R"({"a":1.})",
                         R"({"a":.5})",      R"({"a":nul})",  R"({"a":"b)",
                         R"({"a":"\x"})",    R"({"a" 1})",    R"({"a":1 "b":2})",
                         R"({"a":nan nan})", R"({nan:1})",    "{\"a\":\"\xff\"}",
                         "{\"a\":\"\t\"}",   R"({"a":[1,2})", R"({"a":"\ud800"})"};
  for (const char* line : cases) EXPECT_EQ(parsed(line), "invalid") << line;
}

TEST(LineParser, DepthHasALimit) {
  const auto nested = [](size_t depth) {
    return R"({"a":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_EQ(parsed(nested(1000)).substr(0, 2), "ok");
  EXPECT_EQ(parsed(nested(5000)), "invalid");
}

nlohmann::json random_value(std::mt19937& random, int depth) {
  switch (random() % (depth > 2 ? 6 : 8)) {
    case 0:
      return nullptr;
    case 1:
      return random() % 2 == 0;
    case 2:
      return static_cast<int64_t>(random()) - (1 << 30);
    case 3:
      return static_cast<uint64_t>(random()) << 32 | random();
    case 4:
      return std::uniform_real_distribution<double>(-1e6, 1e6)(random);
    case 5: {
      constexpr char kBytes[] = "aé\"\\\n\x01😀{}[],:/";
      std::string text;
      for (size_t i = random() % 12; i-- > 0;) text += kBytes[random() % (sizeof kBytes - 1)];
      return text;
    }
    case 6: {
      auto list = nlohmann::json::array();
      for (size_t i = random() % 4; i-- > 0;) list.push_back(random_value(random, depth + 1));
      return list;
    }
    default: {
      auto object = nlohmann::json::object();
      for (size_t i = random() % 4; i-- > 0;)
        object["k" + std::to_string(random() % 9)] = random_value(random, depth + 1);
      return object;
    }
  }
}

// Against an independent parser: what nlohmann reads as an object has the same fields here, and
// bytes changed at random are accepted by both or by none.
TEST(LineParser, AgreesWithAnotherParser) {
  std::mt19937 random(7);
  LineParser parser;
  LineValues values;
  for (int i = 0; i < 20000; ++i) {
    auto object = nlohmann::json::object();
    for (size_t n = random() % 6; n-- > 0;)
      object["f" + std::to_string(random() % 20)] = random_value(random, 0);
    std::string line =
        object.dump(-1, ' ', random() % 2 == 0, nlohmann::json::error_handler_t::replace);
    const bool damaged = random() % 2 == 0;
    if (damaged) {
      char& byte = line[random() % line.size()];
      byte = static_cast<char>(random() % 128);
      if (byte == 'e' || byte == 'E') byte = ' ';  // an exponent out of range: only we take that
    }
    const auto expected = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const std::string padded = line + std::string(LineParser::kPadding, '"');
    values.clear();
    const LineState state = parser.parse({padded.data(), line.size()}, values);
    if (state == LineState::nonstandard || state == LineState::blank) continue;
    ASSERT_EQ(state == LineState::ok, expected.is_object()) << line;
    if (state != LineState::ok) continue;
    std::map<std::string, nlohmann::json> seen;
    for (const LineField& f : values.fields) {
      seen[std::string(f.key)] = f.type == ValueType::text ? nlohmann::json(f.text)
                                 : f.type == ValueType::null
                                     ? nlohmann::json()
                                     : nlohmann::json::parse(f.text, nullptr, false);
    }
    ASSERT_EQ(nlohmann::json(seen), damaged && seen.empty() ? nlohmann::json(seen) : expected)
        << line;
  }
}

}  // namespace
}  // namespace greta::store
