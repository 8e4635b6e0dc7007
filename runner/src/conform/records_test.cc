#include "conform/records.h"

#include <gtest/gtest.h>

#include "system/test_folder.h"

namespace greta::runner {
namespace {

const Schema& schema() {
  static const Schema kSchema = *parse_schema(R"({"version": 1, "kinds": {
    "readout": {"doc": "d", "fields": [
      {"name": "phase", "type": "text", "role": "key", "doc": "d"},
      {"name": "n", "type": "integer", "doc": "d"},
      {"name": "x", "type": "real", "doc": "d"},
      {"name": "ok", "type": "boolean", "optional": true, "doc": "d"},
      {"name": "hash", "type": "hash", "role": "hash", "optional": true, "doc": "d"},
      {"name": "ids", "type": "list", "optional": true, "doc": "d"},
      {"name": "s", "type": "real", "role": "timing", "optional": true, "doc": "d"}]}}})");
  return kSchema;
}

ReadRecords read(const std::string& text, bool contract = true) {
  const TestFolder folder;
  folder.write("out/readout.jsonl", text);
  Outputs outputs;
  outputs.files.push_back(
      {.name = "out/readout.jsonl", .bytes = 0, .sha256 = "", .role = "records", .kind = ""});
  return *read_records(folder.path(), outputs, contract);
}

std::string line(const std::string& fields) {
  return R"({"event":"readout","request":"a","phase":"decode0",)" + fields + "}\n";
}

TEST(ConformRecords, LinesAreReadStrictly) {
  const std::pair<std::string, const char*> cases[] = {
      {line("\"n\":1"), ""},
      {"\n" + line("\"n\":1") + "{\"torn", ""},
      {line("\"n\":1,\"n\":2"), "out/readout.jsonl:1: the key `n` twice"},
      {line("\"ids\":[{\"k\":1},{\"k\":2}]"), ""},
      {line("\"ids\":{\"k\":1,\"k\":2}"), "the key `k` twice"},
      {line("\"x\":NaN"), "a bare NaN"},
      {"[1]\n", "not a JSON object"},
      {"hello\n", "not JSON"},
      {"{\"event\":\"readout\"}\n", "no text under `request`"},
      {"{\"request\":\"a\"}\n", "no text under `event`"},
  };
  for (const auto& [text, problem] : cases) {
    const auto problems = read(text).problems;
    const std::string first = problems.empty() ? "" : problems[0];
    EXPECT_EQ(first.empty(), *problem == 0) << text << first;
    EXPECT_NE(first.find(problem), std::string::npos) << text << first;
  }
  // Behind an adapter bare NaN is let through, and neither event nor request is asked for.
  const auto foreign = read("{\"x\":nan}\n{\"x\":1}\n", false);
  EXPECT_TRUE(foreign.problems.empty());
  ASSERT_EQ(foreign.records.size(), 2U);
  EXPECT_EQ(foreign.records[0].kind, "readout");
}

TEST(ConformRecords, FieldsHaveTheirDescribedTypes) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("n":1,"x":2)", ""},
      {R"("n":1,"x":"NaN")", ""},
      {R"("n":1,"x":"-Infinity","ok":true,"hash":"00ff00ff00ff00ff","ids":[1])", ""},
      {R"("n":1,"x":2,"ok":null)", ""},
      {R"("n":1)", "readout.x is missing"},
      {R"("n":1.5,"x":2)", "readout.n is described as integer and is 1.5"},
      {R"("n":null,"x":2)", "readout.n is described as integer and is null"},
      {R"("n":1,"x":"nan")", "readout.x is described as real"},
      {R"("n":1,"x":2,"ok":1)", "readout.ok is described as boolean"},
      {R"("n":1,"x":2,"hash":"0x1f")", "readout.hash is described as hash"},
      {R"("n":1,"x":2,"ids":"1,2")", "readout.ids is described as list"},
      {R"("n":1,"x":2,"hsah":"1")", "not described (did you mean `hash`?)"},
  };
  for (const auto& [fields, wrong] : cases) {
    const auto records = read(line(fields)).records;
    ASSERT_EQ(records.size(), 1U) << fields;
    const std::string got = misdescribed(schema(), records[0]).value_or("");
    EXPECT_EQ(got.empty(), *wrong == 0) << fields << ": " << got;
    EXPECT_NE(got.find(wrong), std::string::npos) << fields << ": " << got;
  }
  ReadRecord other{"out/x.jsonl:1", "readuot", "a", {}};
  EXPECT_NE(misdescribed(schema(), other)->find("did you mean `readout`?"), std::string::npos);
}

TEST(ConformRecords, OnlyResultsAreCompared) {
  const std::string base = line(R"("n":1,"x":2)") + line(R"("n":2,"x":2)");
  const std::pair<std::string, const char*> cases[] = {
      {base, ""},
      {line(R"("n":1,"x":2,"s":7)") + line(R"("n":2,"x":2)"), ""},  // a timing
      {line(R"("n":1,"x":2)"), "2 records and 1"},
      {line(R"("n":1,"x":2)") + line(R"("n":2,"x":3)"), "readout.x 2 and 3"},
      {line(R"("n":2,"x":2)") + line(R"("n":1,"x":2)"), "readout.n 1 and 2"},  // their order
  };
  for (const auto& [text, difference] : cases) {
    const std::string got =
        first_difference(schema(), read(base), "a", read(text), "a").value_or("");
    EXPECT_EQ(got.empty(), *difference == 0) << text << got;
    EXPECT_NE(got.find(difference), std::string::npos) << text << got;
  }
}

}  // namespace
}  // namespace greta::runner
