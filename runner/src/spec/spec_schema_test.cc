// One list of keys, three readers: spec_keys.h, the JSON Schemas for editors, and the reference
// page.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "spec/adapter.h"
#include "spec/plan.h"
#include "spec/spec_keys.h"
#include "spec/spec_matrix.h"
#include "spec/spec_reader.h"
#include "spec/yaml_node.h"
#include "system/json.h"
#include "system/test_folder.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = PROJECT_ROOT;

std::string slurp(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  EXPECT_TRUE(in) << file;
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// As an editor sees it: plain scalars have the types of YAML's core schema.
SortedJson to_json(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return nullptr;
    case YamlNode::Kind::scalar: {
      if (node.quoted) return node.text;
      if (node.text == "true" || node.text == "false") return node.text == "true";
      if (const auto whole = parse_whole(node.text)) return *whole;
      if (const auto number = parse_number(node.text)) return *number;
      return node.text;
    }
    case YamlNode::Kind::list: {
      SortedJson out = SortedJson::array();
      for (const YamlNode& item : node.items) out.push_back(to_json(item));
      return out;
    }
    case YamlNode::Kind::map: {
      SortedJson out = SortedJson::object();
      for (const auto& entry : node.entries) out[entry.key] = to_json(entry.value);
      return out;
    }
  }
  return nullptr;
}

class JsonSchema {
 public:
  explicit JsonSchema(const std::string& file)
      : text_(SortedJson::parse(slurp(kRoot / "experiments" / file))) {
    valijson::SchemaParser parser;
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(text_), schema_);
  }
  bool accepts(const fs::path& file) const {
    Problems problems;
    const SortedJson document = to_json(parse_yaml(slurp(file), file.string(), problems));
    EXPECT_TRUE(problems.empty()) << problems.error().str();
    valijson::Validator validator;
    valijson::ValidationResults results;
    const bool good =
        validator.validate(schema_, valijson::adapters::NlohmannJsonAdapter(document), &results);
    why_.clear();
    for (valijson::ValidationResults::Error error; results.popError(error);) {
      for (const std::string& part : error.context) why_ += part;
      why_ += ": " + error.description + "\n";
    }
    return good;
  }
  const std::string& why() const { return why_; }
  const SortedJson& text() const { return text_; }

 private:
  SortedJson text_;
  valijson::Schema schema_;
  mutable std::string why_;  // the last document was refused
};

std::vector<fs::path> yaml_files(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".yaml") out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(SpecSchema, AcceptsEveryGoodSpecAndEveryExperiment) {
  const JsonSchema schema("spec.schema.json");
  std::vector<fs::path> files = yaml_files(fs::path(RUNNER_TESTDATA) / "specs/good");
  for (const fs::path& file : yaml_files(kRoot / "experiments")) {
    if (file.filename() != "prompts.yaml") files.push_back(file);
  }
  EXPECT_GE(files.size(), 8u);
  for (const fs::path& file : files)
    EXPECT_TRUE(schema.accepts(file)) << file << "\n" << schema.why();
}

TEST(SpecSchema, RefusesEverySpecWithAMistakeOfStructure) {
  const JsonSchema schema("spec.schema.json");
  size_t files = 0;
  for (const fs::path& file : yaml_files(fs::path(RUNNER_TESTDATA) / "specs/bad/structure")) {
    // A key without a value is null here, which no type of the schema allows.
    EXPECT_FALSE(schema.accepts(file)) << file;
    ++files;
  }
  EXPECT_GT(files, 30u);
}

// One gate at a time, so that one mistake does not hide that another is taken.
TEST(SpecSchema, AgreesWithTheReaderOnGates) {
  const JsonSchema schema("spec.schema.json");
  const TestFolder folder;
  const std::string gap = "metric: readout.gap, ", error = "metric: attn_decode_verify.rel_l2, ";
  const auto judge = [&](const std::string& gate, bool good) {
    const fs::path file = folder.write(
        "s.yaml",
        "schema: 1\nmilestone: M\nmodel: {file: m.gguf}\nprompts: [{id: a, text: Hi}]\n"
        "matrix: {GRETA_TRACE_STAGE: ['0', '1'], decode.threads: [1, 2]}\n"
        "expect: [{id: g, " +
            gate + "}]\n");
    const auto spec = load_spec(file, {.working_folder = kRoot});
    EXPECT_EQ(spec.has_value(), good) << gate << ": " << (spec ? "" : spec.error().str());
    EXPECT_EQ(spec ? 6 : spec.error().line, 6) << gate;
    EXPECT_EQ(schema.accepts(file), good) << gate << "\n" << schema.why();
  };
  for (const std::string& gate :
       {gap + "le: 1", gap + "le: '1'", gap + "le: entropy", gap + "ge: 9007199254740993",
        gap + "ge: -1.5, lt: 2", gap + "agg: count, ge: 1", gap + "ratio_to: '5', le: 1",
        gap + "ratio_to: B3.20@recorded, ge: 0.9, le: 1.1", gap + "within_floor_of: baseline",
        gap + "agg: max, per: [prompt, step], where: step > 0, le: 1",
        gap + "agg: median, ratio_to: {decode.threads: 1}, gt: 1", gap + "le: 1, where: '1'",
        error + "le: bound", std::string("metric: readout.readout_mismatch, all: true"),
        std::string("distinct: [attn_decode_verify.q_hash, attn_decode_verify.k_hash]"),
        std::string("distinct: readout.logits_hash, across: decode.threads, per: phase"),
        std::string("distinct: [readout.logits_hash], across: [decode.threads, "
                    "GRETA_TRACE_STAGE]"),
        std::string("sql: SELECT nan = 0 FROM readout")}) {
    judge(gate, true);
  }
  for (const std::string& gate :
       {gap + "ratio_to: 5, le: 1",
        gap + "ratio_to: true, le: 1",
        gap + "within_floor_of: true",
        gap + "within_floor_of: 3.21",
        gap + "ge: true",
        gap + "ge: false",
        gap + "le: 1, where: 5",
        gap + "le: 1, where: true",
        gap + "le: 1, per: true, agg: max",
        gap + "le: 1, per: [step, true], agg: max",
        std::string("sql: 1"),
        std::string("distinct: readout.logits_hash"),
        std::string("distinct: [readout.logits_hash]"),
        std::string("distinct: [readout.gap, readout.gap]"),
        std::string("distinct: [readout.logits_hash, readout.gap], across: decode.threads"),
        std::string("distinct: readout.logits_hash, across: [decode.threads, decode.threads]"),
        std::string("distinct: [attn_decode_verify.q_hash, attn_decode_verify.k_hash], per: layer"),
        gap + "sql: SELECT 1",
        gap + "le: 1, sql: SELECT 1",
        gap + "le: 1, distinct: readout.gap",
        std::string("sql: SELECT 1, distinct: [readout.gap, readout.entropy]"),
        gap + "agg: count, ratio_to: baseline, le: 1",
        gap + "ratio_to: baseline, le: entropy",
        gap + "ge: 0, le: entropy",
        gap + "gt: entropy, lt: 9",
        gap + "le: 1, ge: 0, eq: 1"}) {
    judge(gate, false);
  }
}

TEST(AdapterSchema, AgreesWithTheReader) {
  const JsonSchema schema("adapter.schema.json");
  size_t good = 0, bad = 0;
  std::vector<fs::path> files = yaml_files(fs::path(RUNNER_TESTDATA) / "adapters/good");
  for (const fs::path& file : yaml_files(kRoot / "experiments/adapters")) files.push_back(file);
  for (const fs::path& file : files) {
    const auto adapter = load_adapter(file, file.string());
    EXPECT_TRUE(adapter) << adapter.error().str();
    EXPECT_TRUE(schema.accepts(file)) << file << "\n" << schema.why();
    ++good;
  }
  for (const fs::path& file : yaml_files(fs::path(RUNNER_TESTDATA) / "adapters/bad")) {
    EXPECT_FALSE(schema.accepts(file)) << file;
    EXPECT_FALSE(load_adapter(file, file.string())) << file;
    ++bad;
  }
  EXPECT_GE(good, 2u);
  EXPECT_GE(bad, 5u);
}

std::set<std::string> names_of(const SortedJson& properties) {
  std::set<std::string> out;
  for (const auto& [name, value] : properties.items()) out.insert(name);
  return out;
}

TEST(SpecSchema, KnowsExactlyTheKeysOfTheReader) {
  const SortedJson spec = JsonSchema("spec.schema.json").text();
  const SortedJson adapter = JsonSchema("adapter.schema.json").text();
  const std::map<std::string, SortedJson> places = {
      {"spec", spec["properties"]},
      {"prose", spec["definitions"]["prose"]["anyOf"][1]["properties"]},
      {"engine", spec["properties"]["engine"]["properties"]},
      {"engines", spec["properties"]["engines"]["additionalProperties"]["anyOf"][1]["properties"]},
      {"model", spec["properties"]["model"]["properties"]},
      {"prompt", spec["definitions"]["prompt"]["properties"]},
      {"decode", spec["properties"]["decode"]["properties"]},
      {"limits", spec["properties"]["limits"]["properties"]},
      {"expect", spec["definitions"]["gate"]["properties"]},
      {"adapter", adapter["properties"]},
      {"output", adapter["properties"]["outputs"]["items"]["properties"]},
  };
  for (const KeySection& section : key_sections()) {
    if (section.name == "prompts file") continue;  // has no schema; its items are `prompt`
    ASSERT_TRUE(places.contains(section.name)) << section.name;
    EXPECT_EQ(names_of(places.at(section.name)),
              std::set<std::string>(section.keys.begin(), section.keys.end()))
        << section.name;
  }
  const std::string axes = spec["properties"]["matrix"]["patternProperties"].begin().key();
  for (const std::string& axis : decode_axes()) {
    EXPECT_NE(axes.find(axis.substr(axis.find('.') + 1)), std::string::npos) << axis;
  }
  for (const std::string& key : keys_of("decode")) EXPECT_NO_FATAL_FAILURE(decode_choices(key));
}

TEST(ExperimentsReadme, SpeaksOfEveryKeyAndEveryPlaceholder) {
  const std::string page = slurp(kRoot / "experiments/README.md");
  for (const KeySection& section : key_sections()) {
    for (const std::string& key : section.keys) {
      EXPECT_NE(page.find("`" + key + "`"), std::string::npos) << section.name << ": " << key;
    }
  }
  for (const std::string& name : placeholder_names()) {
    EXPECT_NE(page.find("{" + name + "}"), std::string::npos) << name;
  }
}

// The YAML of the page is what the reader reads.
TEST(ExperimentsReadme, ItsExamplesAreRead) {
  const std::string page = slurp(kRoot / "experiments/README.md");
  const TestFolder folder;
  folder.write("base.yaml",
               "schema: 1\nmilestone: B\nmodel: {file: m}\nprompts: [p0_hi]\n"
               "flags: {GRETA_TRACE_STAGE: 1}\n");
  const std::string head = "schema: 1\nextends: base.yaml\n";
  const LoadOptions options = {.working_folder = kRoot};
  size_t examples = 0;
  for (size_t at = 0; (at = page.find("```yaml\n", at)) != std::string::npos; ++examples) {
    at += 8;
    std::string text = page.substr(at, page.find("```", at) - at);
    SCOPED_TRACE(text);
    if (text.find("argv:") != std::string::npos) {
      const auto adapter = load_adapter(folder.write("a.yaml", text), "a.yaml");
      EXPECT_TRUE(adapter) << adapter.error().str();
      continue;
    }
    if (text.find("{id: long, file") != std::string::npos) {
      folder.write("prompts.yaml", text);
      text = "prompts: [p0_hi, ids, p2_hi_nl]\n";
    } else if (text.starts_with("expect:")) {
      text.insert(0, "matrix: {GRETA_FORCE_ATTN_DECODE_KERNEL: [manual, fused]}\n");
    }
    // A part of a spec is completed; a whole one says its own schema.
    if (text.find("schema:") == std::string::npos) text.insert(0, head);
    const auto spec = load_spec(folder.write("s.yaml", text), options);
    ASSERT_TRUE(spec) << spec.error().str();
    EXPECT_TRUE(expand_variants(*spec));
  }
  EXPECT_EQ(examples, 7u);
}

}  // namespace
}  // namespace greta::runner
