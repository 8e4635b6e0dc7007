#include "run/history.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>

#include "commands/table_output.h"
#include "store/diff.h"
#include "system/json.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;

const fs::path kHistory = fs::path(PROJECT_ROOT) / "experiments" / "history";

TEST(YamlToJson, ScalarsAreWhatTheyLookLike) {
  const std::pair<const char*, const char*> cases[] = {
      {"1", "1"},
      {"-7", "-7"},
      {"+7", "7"},
      {"1.5", "1.5"},
      {"1.0e-05", "1e-05"},
      {".5", "0.5"},
      {"6.", "6.0"},
      {"-0.0", "-0.0"},
      {"true", "true"},
      {"False", "false"},
      {"~", "null"},
      {"null", "null"},
      {"", "null"},
      {".inf", "\"Infinity\""},
      {"-.Inf", "\"-Infinity\""},
      {".nan", "\"NaN\""},
      {"\"1\"", "\"1\""},
      {"'true'", "\"true\""},
      {"2026-02-03", "\"2026-02-03\""},
      {"359f170", "\"359f170\""},
      {"on", "\"on\""},
      {"0x10", "\"0x10\""},
      {"1e", "\"1e\""},
      {"e5", "\"e5\""},
      {"B3.21", "\"B3.21\""},
      {"18446744073709551615", "\"18446744073709551615\""},
  };
  for (const auto& [yaml, expected] : cases) {
    const std::string text = std::string("v: ") + yaml + "\nlast: 1\n";
    const auto out = yaml_to_json(text, "t.yaml");
    ASSERT_TRUE(out) << yaml << ": " << out.error().str();
    EXPECT_EQ(*out, std::string("{\"v\":") + expected + ",\"last\":1}") << yaml;
  }
}

class History : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) / ("greta-history-" + std::to_string(getpid()));
    fs::remove_all(root_);
    auto opened = store::Store::open(root_ / "store.sqlite", store::Access::read_write);
    ASSERT_TRUE(opened) << opened.error().str();
    store_ = std::make_unique<store::Store>(std::move(*opened));
  }
  void TearDown() override {
    store_.reset();
    fs::remove_all(root_);
  }
  SortedJson rows(const std::string& sql) {
    const auto table = store_->query(sql);
    EXPECT_TRUE(table) << sql << ": " << table.error().str();
    return table ? SortedJson::parse(table_text(*table, TableFormat::json)) : SortedJson::array();
  }

  fs::path root_;
  std::unique_ptr<store::Store> store_;
};

SortedJson recorded_entries() {
  std::ifstream in(kHistory / "milestones.yaml");
  std::stringstream text;
  text << in.rdbuf();
  return SortedJson::parse(yaml_to_json(text.str(), "milestones.yaml").value());
}

bool same(const SortedJson& stored, const SortedJson& recorded) {
  if (recorded.is_boolean()) return stored == SortedJson(recorded.get<bool>() ? 1 : 0);
  return stored == recorded;
}

// Every figure of the committed history, looked up one by one: under its milestone, in the view of
// its record, with all of its keys, its value and its qualifiers. As many out as in.
TEST_F(History, EveryFigureLandsWithAllOfItsKeys) {
  ASSERT_TRUE(import_history(*store_, kHistory / "milestones.yaml"));
  const SortedJson entries = recorded_entries();
  std::map<std::string, SortedJson> views;                  // kind → rows
  std::map<std::string, std::vector<std::string>> columns;  // kind/field → columns
  for (const auto& field : rows("SELECT kind, field, \"column\" FROM fields"))
    columns[field["kind"].get<std::string>() + "/" + field["field"].get<std::string>()].push_back(
        field["column"]);
  size_t figures = 0, found = 0;
  for (const SortedJson& entry : entries) {
    for (const SortedJson& figure : entry["metrics"]) {
      ++figures;
      const std::string kind = figure.value("record", "figure");
      if (!views.contains(kind)) {
        const SortedJson view = rows("SELECT \"view\" FROM kinds WHERE kind = '" + kind + "'");
        views[kind] = rows("SELECT * FROM \"" + view[0]["view"].get<std::string>() + "\"");
      }
      const auto holds = [&](const SortedJson& row, const std::string& field,
                             const SortedJson& value) {
        for (const auto& column : columns[kind + "/" + field])
          if (same(row[column], value)) return true;
        return false;
      };
      int matches = 0;
      for (const SortedJson& row : views[kind]) {
        bool match = row["milestone"] == entry["milestone"];
        for (const auto& [key, value] : figure.items()) {
          if (!match) break;
          if (key == "metric" || key == "record") continue;
          if (key == "prompt" || key == "variant") {
            match = row[key] == value;
          } else if (key == "value") {
            match = holds(row, figure["metric"], value);
          } else if (key == "unit" || key == "approx" || key == "bound") {
            match = holds(row, figure["metric"].get<std::string>() + "__" + key, value);
          } else {
            match = holds(row, key, value);
          }
        }
        matches += match ? 1 : 0;
      }
      EXPECT_GE(matches, 1) << entry["milestone"] << " " << figure;
      found += matches > 0 ? 1 : 0;
    }
  }
  EXPECT_GT(figures, 1400U);
  EXPECT_EQ(found, figures);

  // Nothing was added either: values in the lines of the bundles = figures.
  size_t values = 0;
  for (const auto& line : rows("SELECT greta_line(record) AS line FROM records")) {
    const SortedJson record = SortedJson::parse(line["line"].get<std::string>());
    for (const auto& [key, value] : record.items()) {
      const bool is_key = std::string(" event request phase step layer head context batch run ")
                              .find(" " + key + " ") != std::string::npos;
      const bool is_qualifier =
          key.ends_with("__unit") || key.ends_with("__approx") || key.ends_with("__bound");
      values += is_key || is_qualifier ? 0 : 1;
    }
  }
  EXPECT_EQ(values, figures);
  EXPECT_EQ(rows("SELECT DISTINCT state FROM records").dump(), R"([{"state":"ok"}])");
}

// What experiments/history/README.md calls void is found by the figures, where they can show it,
// and so is a decode that collapsed; nothing else is called suspicious.
TEST_F(History, LintsNameTheVoidResults) {
  const auto runs = import_history(*store_, kHistory / "milestones.yaml");
  ASSERT_TRUE(runs) << runs.error().str();
  const std::map<std::string, std::vector<std::string>> expected = {
      {"B3.10", {"decode_collapsed"}},
      {"B3.11", {"readout_wrong_row"}},
      {"B3.15", {"probe_cannot_tell", "probe_cannot_tell"}},
      {"B3.20", {"error_jump", "invariants_blind"}},
      {"B3.21",
       {"constant_across_prompts", "difference_exactly_zero", "error_jump", "invariants_blind"}},
      {"B3.22", {"constant_across_prompts"}},
      {"B3.27", {"unlike_positions"}},
      {"B3.31", {"arms_equal_errors"}},
      {"B3.37", {"decode_collapsed"}},
      {"B3.41", {"unlike_positions"}},
      {"B3.42", {"unlike_positions"}},
      {"B3.59", {"hash_of_a_part"}},
      {"B3.60", {"counts_alone"}},
  };
  for (const std::string& run : *runs) {
    const auto found = store::lints(*store_, *store_->resolve(run));
    ASSERT_TRUE(found) << found.error().str();
    std::vector<std::string> ids;
    for (const store::Lint& lint : *found) ids.push_back(lint.id);
    const auto at = expected.find(run.substr(0, run.find("-recorded-")));
    EXPECT_EQ(ids, at == expected.end() ? std::vector<std::string>() : at->second) << run;
  }
}

TEST_F(History, TheFiguresOfTheSeedReport) {
  ASSERT_TRUE(import_history(*store_, kHistory / "milestones.yaml"));
  EXPECT_EQ(rows("SELECT prompt, layer, attn_out_mae AS v FROM attn_decode_verify WHERE milestone ="
                 " 'B3.21' AND layer IN (0, 31) ORDER BY prompt, layer")
                .dump(),
            R"([{"layer":0,"prompt":"p4_sys","v":6.00923e-11},)"
            R"({"layer":31,"prompt":"p4_sys","v":0.0419899},)"
            R"({"layer":0,"prompt":"p5_ba","v":5.34566e-11},)"
            R"({"layer":31,"prompt":"p5_ba","v":0.0438694}])");
  EXPECT_EQ(rows("SELECT prompt, phase, top1_id, gap FROM readout WHERE milestone = 'B3.21' AND"
                 " phase = 'decode0' ORDER BY prompt")
                .dump(),
            R"([{"gap":1.34019,"phase":"decode0","prompt":"p4_sys","top1_id":96965},)"
            R"({"gap":1.34019,"phase":"decode0","prompt":"p5_ba","top1_id":96965}])");
}

TEST_F(History, RecordedMilestonesComeOnDemand) {
  EXPECT_FALSE(store_->select("B3.21@recorded"));
  const auto selection = select_with_history(*store_, "B3.21@recorded", PROJECT_ROOT);
  ASSERT_TRUE(selection) << selection.error().str();
  EXPECT_EQ(selection->milestone, "B3.21");
  EXPECT_EQ(resolve_with_history(*store_, "B3.21@recorded", PROJECT_ROOT).value(), selection->run);
  const auto slip = select_with_history(*store_, "B3.21@recordd", PROJECT_ROOT);
  EXPECT_FALSE(slip);
  const auto unknown = select_with_history(*store_, "B9.99@recorded", PROJECT_ROOT);
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().str().find("no recorded figures of milestone `B9.99`"),
            std::string::npos);
  EXPECT_EQ(find_history(kHistory / "deeper"), kHistory);
}

TEST_F(History, WhatIsNoHistoryIsNamed) {
  const auto error = [&](const std::string& text) {
    const fs::path file = root_ / "h.yaml";
    std::ofstream(file) << text;
    const auto runs = import_history(*store_, file);
    return runs ? std::string() : runs.error().str();
  };
  EXPECT_NE(error("milestone: B1\nprompts: [a]\n").find("a spec is run: greta run"),
            std::string::npos);
  EXPECT_NE(error("- milestone: B1\n").find("h.yaml:1:3: a recorded milestone needs"),
            std::string::npos)
      << error("- milestone: B1\n");
  EXPECT_NE(error("- a: [1\n").find("h.yaml:"), std::string::npos);
  EXPECT_NE(error("just text\n").find("no list of recorded milestones"), std::string::npos);
}

}  // namespace
}  // namespace greta::runner
