#include "io/requests.h"

#include <gtest/gtest.h>

namespace greta::engine {
namespace {

TEST(Requests, ReadsTextTokensAndLimits) {
  const auto prompts = parse_requests(
      "{\"id\":\"a\",\"text\":\"Hi\\n\\u00f1\"}\n"
      "{\"max_tokens\":0,\"tokens\":[0,9],\"id\":\"b\"}",
      "r.jsonl", 10);
  ASSERT_TRUE(prompts) << prompts.error().str();
  ASSERT_EQ(prompts->size(), 2u);
  EXPECT_EQ(*(*prompts)[0].text, "Hi\nñ");
  EXPECT_FALSE((*prompts)[0].max_tokens);
  EXPECT_EQ(*(*prompts)[1].token_ids, (std::vector<int32_t>{0, 9}));
  EXPECT_EQ((*prompts)[1].max_tokens, 0);
}

TEST(Requests, EveryBadLineIsNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "r.jsonl: the file holds no request"},
      {"{\"id\":\"a\",\"text\":\"x\"}\n\n",
       "r.jsonl:2: the line is empty; every line is one request"},
      {"[1]", "r.jsonl:1: a request is a JSON object"},
      {"{\"id\":\"a\",\"txt\":\"x\"}", "r.jsonl:1: unknown key `txt` (did you mean `text`?)"},
      {"{\"text\":\"x\"}", "r.jsonl:1: the request has no `id`"},
      {"{\"id\":7,\"text\":\"x\"}", "r.jsonl:1: `id` is not a string"},
      {"{\"id\":\"\",\"text\":\"x\"}", "r.jsonl:1: `id` has 0 bytes; 1 to 200 are allowed"},
      {"{\"id\":\"a\"}", "r.jsonl:1: request `a` has neither of `text` and `tokens`; give one"},
      {"{\"id\":\"a\",\"text\":\"x\",\"tokens\":[1]}",
       "r.jsonl:1: request `a` has both of `text` and `tokens`; give one"},
      {"{\"id\":\"a\",\"text\":1}", "r.jsonl:1: `text` is not a string"},
      {"{\"id\":\"a\",\"tokens\":[]}", "r.jsonl:1: `tokens` is not a list of at least one id"},
      {"{\"id\":\"a\",\"tokens\":[1,10]}",
       "r.jsonl:1: `tokens[1]` is 10, no id of the vocabulary (0 to 9)"},
      {"{\"id\":\"a\",\"tokens\":[-1]}",
       "r.jsonl:1: `tokens[0]` is -1, no id of the vocabulary (0 to 9)"},
      {"{\"id\":\"a\",\"tokens\":[18446744073709551615]}",
       "r.jsonl:1: `tokens[0]` is 18446744073709551615, no id of the vocabulary (0 to 9)"},
      {"{\"id\":\"a\",\"tokens\":[1.5]}",
       "r.jsonl:1: `tokens[0]` is 1.5, no id of the vocabulary (0 to 9)"},
      {"{\"id\":\"a\",\"text\":\"x\",\"max_tokens\":-2}",
       "r.jsonl:1: `max_tokens` is -2, no whole number from 0 to 1073741824"},
      {"{\"id\":\"a\",\"text\":\"x\",\"text\":\"y\"}",
       "r.jsonl:1: the key `text` stands there twice"},
      {"{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":\"a\",\"text\":\"y\"}",
       "r.jsonl:2: the id `a` stands on line 1 already"},
      {"{\"id\":\"a\",\"tokens\":[1e999]}", "r.jsonl:1: no JSON: number overflow parsing '1e999'"},
      {"{\"id\":\"a\",\"text\":\"\xff\"}", "r.jsonl:1:19: these bytes are no UTF-8"},
  };
  for (const auto& [text, message] : cases) {
    const auto prompts = parse_requests(text, "r.jsonl", 10);
    ASSERT_FALSE(prompts) << text;
    EXPECT_EQ(prompts.error().str(), message);
    EXPECT_EQ(prompts.error().exit_code, 3);
  }
}

TEST(Requests, HalfALineIsNoJson) {
  const auto prompts = parse_requests("{\"id\":\"a\",\"te", "r.jsonl", 10);
  ASSERT_FALSE(prompts);
  EXPECT_TRUE(prompts.error().str().starts_with("r.jsonl:1:14: no JSON: syntax error"))
      << prompts.error().str();
}

TEST(TokenIds, SeparatedAnyWay) {
  const std::vector<int32_t> want = {1, 2, 3};
  for (const char* text : {"1 2 3", "[1, 2, 3]\n", "1,2,3", " 1\n2\t3 \n"}) {
    const auto ids = parse_token_ids(text, "t", 10);
    ASSERT_TRUE(ids) << text;
    EXPECT_EQ(*ids, want) << text;
  }
  EXPECT_EQ(parse_token_ids("1 x", "t", 10).error().str(),
            "t: token 2 is `x`, no id of the vocabulary (0 to 9)");
  EXPECT_EQ(parse_token_ids("1,,2", "t", 10).error().str(),
            "t: token 2 is ``, no id of the vocabulary (0 to 9)");
  EXPECT_EQ(parse_token_ids("10", "t", 10).error().str(),
            "t: token 1 is `10`, no id of the vocabulary (0 to 9)");
  EXPECT_EQ(parse_token_ids(" ", "t", 10).error().str(), "t: the file holds no token id");
}

}  // namespace
}  // namespace greta::engine
