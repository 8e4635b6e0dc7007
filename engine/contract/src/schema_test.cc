#include "contract/schema.h"

#include <gtest/gtest.h>
#include <fstream>
#include <sstream>

namespace greta {
namespace {

std::string read(const char* path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(Schema, BuiltinIsReadable) {
  const Schema& schema = builtin_schema();
  EXPECT_GE(schema.version, 1);
  const Kind* kind = schema.find("attn_decode_verify");
  ASSERT_NE(kind, nullptr);
  ASSERT_NE(kind->find("layer"), nullptr);
  EXPECT_EQ(kind->find("layer")->role, FieldRole::key);
  EXPECT_EQ(kind->find("rel_l2")->type, FieldType::real);
}

TEST(Schema, EveryKindHasADocAndKeysComeFirst) {
  for (const Kind& kind : builtin_schema().kinds) {
    EXPECT_FALSE(kind.doc.empty()) << kind.name;
    bool values = false;
    for (const Field& field : kind.fields) {
      values |= field.role != FieldRole::key;
      EXPECT_FALSE(values && field.role == FieldRole::key) << kind.name << "." << field.name;
    }
  }
}

TEST(Schema, ReferencePageIsUpToDate) {
  EXPECT_EQ(read(RECORDS_PAGE), read(GENERATED_PAGE))
      << "run: cmake --build --preset release -t update_records_page";
}

TEST(Schema, BadDescriptionsAreNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "not a JSON object"},
      {"[1]", "not a JSON object"},
      {R"({"kinds":{}})", "`version`"},
      {R"({"version":1})", "`kinds`"},
      {R"({"version":1,"kinds":{"a":{}}})", "a: a kind needs"},
      {R"({"version":1,"kinds":{"a":{"fields":[{}]}}})", "needs a `name`"},
      {R"({"version":1,"kinds":{"a":{"fields":[{"name":"x","type":"float"}]}}})",
       "a.x: unknown type `float`"},
      {R"({"version":1,"kinds":{"a":{"fields":[{"name":"x","role":"k"}]}}})", "unknown role `k`"},
      {R"({"version":1,"kinds":{"a":{"fields":[{"name":"x"},{"name":"x"}]}}})", "named twice"},
      {R"({"version":1,"kinds":{"a":{"fields":[{"name":"x","colour":"y"}]}}})",
       "unknown key `colour`"},
  };
  for (const auto& [text, want] : cases) {
    const auto got = parse_schema(text);
    ASSERT_FALSE(got) << text;
    EXPECT_NE(got.error().message.find(want), std::string::npos) << got.error().message;
  }
}

}  // namespace
}  // namespace greta
