// What lint says of specs that can run, and where paths are looked for.

#include <gtest/gtest.h>

#include "spec/spec.h"
#include "spec/spec_root.h"
#include "system/test_folder.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHead = "schema: 1\nmilestone: M\nmodel: {file: m.gguf}\n";

// The warnings of a spec in `folder`, without its path.
std::vector<std::string> warnings(const TestFolder& folder, const std::string& rest) {
  const fs::path file = folder.write("s.yaml", kHead + rest);
  const auto spec = load_spec(file, {.working_folder = PROJECT_ROOT});
  EXPECT_TRUE(spec) << spec.error().str();
  if (!spec) return {};
  std::vector<std::string> out;
  for (const std::string& warning : spec->warnings) {
    const size_t at = warning.find(file.string());
    out.push_back(at == std::string::npos ? warning
                                          : warning.substr(at + file.string().size() + 1));
  }
  return out;
}

using Lines = std::vector<std::string>;

TEST(SpecWarnings, PromptsThatLookLikeSlips) {
  const TestFolder folder;
  folder.write("prompt.txt", "Hi\n");
  EXPECT_EQ(
      warnings(folder, "prompts: [{id: a, text: prompt.txt}]\n"),
      (Lines{"4:11: prompt `a` is the text `prompt.txt`, which is also the name of a file (for "
             "its content use `file:`)"}));
  EXPECT_EQ(warnings(folder, "prompts: [{id: a, text: 'Hi\\n'}]\n"),
            (Lines{"4:11: prompt `a` holds a backslash and the letter `n`, not a control character "
                   "(for one use \"double quotes\" or a | block; if it is meant, say "
                   "`literal_escapes: true`)"}));
  EXPECT_EQ(warnings(folder, "prompts: [{id: a, text: x}, {id: b, text: x}]\n"),
            (Lines{"4:29: prompts `a` and `b` hold the same bytes"}));
  EXPECT_EQ(warnings(folder, "prompts: [{id: a, text: \"Hi\\n\"}, {id: b, file: prompt.txt}]\n"),
            (Lines{"4:34: prompts `a` and `b` hold the same bytes"}));
  // The clean forms of each.
  EXPECT_EQ(warnings(folder,
                     "prompts: [{id: a, file: prompt.txt}, {id: b, text: 'C:\\new', "
                     "literal_escapes: true}, {id: c, text: other.txt}, {id: d, text: 'a\\b'}]\n"),
            Lines{});
}

TEST(SpecWarnings, RecordsThatTheEngineDoesNotWrite) {
  const TestFolder folder;
  const auto of_gate = [&](const std::string& gate) {
    return warnings(folder, "prompts: [{id: a, text: Hi}]\nexpect: [{id: g, " + gate + "}]\n");
  };
  EXPECT_EQ(of_gate("metric: readuot.gap, gt: 0"),
            (Lines{"5:26: greta's engine writes no record `readuot` (did you mean `readout`?)"}));
  EXPECT_EQ(of_gate("sql: SELECT gap > 0 FROM readuot"),
            (Lines{"5:23: `expect[0].sql`: no record kind or view `readuot` (did you mean "
                   "`readout`?)"}));
  EXPECT_EQ(of_gate("metric: readout.gap, all: true"),
            (Lines{"5:44: `readout.gap` is no boolean but real"}));
  EXPECT_EQ(of_gate("metric: readout.gap, gt: 0"), Lines{});
  const std::string advice =
      " is a timing, and depends on the machine: `ratio_to` compares it with another one";
  EXPECT_EQ(of_gate("metric: cells.wall_s, agg: median, le: 9"),
            (Lines{"5:26: `cells.wall_s`" + advice}));
  EXPECT_EQ(of_gate("metric: timing.load_s, le: 9"), (Lines{"5:26: `timing.load_s`" + advice}));
  EXPECT_EQ(of_gate("metric: cells.wall_s, agg: median, ratio_to: baseline, le: 9"), Lines{});
  EXPECT_EQ(of_gate("metric: cells.wall_s, agg: count, ge: 1"), Lines{});
}

TEST(SpecWarnings, ASlipInBaseline) {
  const TestFolder folder;
  const auto of = [&](const std::string& partner) {
    return warnings(folder,
                    "prompts: [{id: a, text: Hi}]\nexpect: [{id: g, metric: readout.gap, "
                    "within_floor_of: " +
                        partner + "}]\n");
  };
  EXPECT_EQ(of("baselin"), (Lines{"5:56: `expect[0].within_floor_of`: `baselin` is the name of a "
                                  "run (did you mean `baseline`?)"}));
  EXPECT_EQ(of("baseline"), Lines{});
  EXPECT_EQ(of("B3.20"), Lines{});
}

// What another engine writes nobody knows before it ran, but greta writes the cells itself.
TEST(SpecWarnings, WrongNamesOfAnEngineWithAnAdapter) {
  const TestFolder folder;
  folder.script("engine.sh", "");
  folder.write("a.yaml", "name: a\nargv: [\"{engine}\"]\n");
  const std::string rest =
      "prompts: [{id: a, text: Hi}]\nengine: {binary: engine.sh, adapter: a}\nexpect: [{id: g, ";
  EXPECT_EQ(warnings(folder, rest + "metric: readout.gapp, le: 1}]\n").size(), 1u);
  EXPECT_EQ(warnings(folder, rest + "metric: cells.wall_s, agg: count, per: variant, ge: 1}]\n"),
            Lines{});
  for (const std::string gate : {"metric: cells.wal_s, le: 1", "metric: cells.wall_s, le: wal_s",
                                 "metric: cells.wall_s, le: 1, where: variantt = 'x'",
                                 "metric: cells.wall_s, agg: max, per: variantt, le: 1"}) {
    const auto spec = load_spec(folder.write("s.yaml", kHead + rest + gate + "}]\n"),
                                {.working_folder = PROJECT_ROOT});
    ASSERT_FALSE(spec) << gate;
    EXPECT_EQ(spec.error().line, 6) << spec.error().str();
    EXPECT_NE(spec.error().message.find("did you mean"), std::string::npos) << spec.error().str();
  }
}

TEST(SpecWarnings, VariablesThatNothingUses) {
  const TestFolder folder;
  EXPECT_EQ(warnings(folder, "prompts: [{id: a, text: Hi}]\nvars: {N: 1}\n"),
            (Lines{"5:8: variable `N` is not used"}));
}

TEST(SpecPrompts, ALibraryBesideTheSpecComesFirst) {
  const TestFolder folder;
  folder.write("prompts.yaml", "schema: 1\nprompts:\n  - {id: p0_hi, text: mine}\n");
  const fs::path file = folder.write("s.yaml", std::string(kHead) + "prompts: [p0_hi, p5_ba]\n");
  const auto spec = load_spec(file, {.working_folder = PROJECT_ROOT});
  ASSERT_TRUE(spec) << spec.error().str();
  EXPECT_EQ(spec->prompts[0].text, "mine");
  EXPECT_EQ(spec->prompts[1].text, "Write one short sentence about Buenos Aires.");
}

TEST(SpecPrompts, IdsOfABaseAreLookedUpBesideTheBase) {
  const TestFolder folder;
  folder.write("base/prompts.yaml", "schema: 1\nprompts:\n  - {id: own, text: x}\n");
  folder.write("base/base.yaml", std::string(kHead) + "prompts: [own]\n");
  const auto spec = load_spec(folder.write("s.yaml", "schema: 1\nextends: base/base.yaml\n"),
                              {.working_folder = PROJECT_ROOT});
  ASSERT_TRUE(spec) << spec.error().str();
  EXPECT_EQ(spec->prompts[0].text, "x");
}

TEST(SpecPrompts, AMistakeInTheLibraryIsReportedThere) {
  const TestFolder folder;
  const fs::path library = folder.write(
      "prompts.yaml",
      "schema: 1\nprompts:\n  - {id: x, text: a}\n  - {id: x, text: b}\n  - {text: c}\n");
  const auto spec = load_spec(folder.write("s.yaml", std::string(kHead) + "prompts: [nope]\n"),
                              {.working_folder = PROJECT_ROOT});
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().str(), library.string() +
                                    ":4:10: prompt `x` is given twice (first at line 3)\n" +
                                    library.string() + ":5:5: a prompt needs an `id`");
}

TEST(SpecPrompts, TheLibraryOfTheTreeHasTheBytesOfTheHistory) {
  const TestFolder folder;
  const auto spec =
      load_spec(folder.write("s.yaml", std::string(kHead) +
                                           "prompts: [p0_hi, p1_hi_space, p2_hi_nl, p3_q, "
                                           "p4_sys, p5_ba, p6_len_16, p6_len_32, p6_long]\n"),
                {.working_folder = PROJECT_ROOT});
  ASSERT_TRUE(spec) << spec.error().str();
  const std::vector<size_t> sizes = {2, 3, 4, 2, 199, 44, 342, 343, 662};
  for (size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_EQ(spec->prompts[i].text->size(), sizes[i]) << spec->prompts[i].id;
  }
  EXPECT_EQ(spec->prompts[2].text, "Hi\\n");
  EXPECT_TRUE(spec->warnings.empty());
}

TEST(SpecPrompts, FilesAreReadByteForByte) {
  const TestFolder folder;
  const std::string bytes("\r\n\0tail\n\n", 9);
  folder.write("p.bin", bytes);
  folder.write("latin1.txt", "\xf1");
  auto spec =
      load_spec(folder.write("s.yaml", std::string(kHead) + "prompts: [{id: a, file: p.bin}]\n"),
                {.working_folder = PROJECT_ROOT});
  ASSERT_TRUE(spec) << spec.error().str();
  EXPECT_EQ(spec->prompts[0].text, bytes);
  spec = load_spec(
      folder.write("s.yaml", std::string(kHead) + "prompts: [{id: a, file: latin1.txt}]\n"),
      {.working_folder = PROJECT_ROOT});
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().message,
            "`prompts[0].file`: latin1.txt is not UTF-8; give its bytes as `tokens`");
}

void make_tree(const TestFolder& folder, const std::string& name) {
  folder.write(name + "/CMakeLists.txt", "");
  folder.write(name + "/engine/contract/records.json", "{}");
}

TEST(SpecRoot, IsTheTreeOfTheSpecElseOfTheCallerElseOfTheProgram) {
  const TestFolder folder;
  make_tree(folder, "greta");
  make_tree(folder, "other");
  folder.write("greta/.git/HEAD", "");
  folder.write("mine/.git/HEAD", "");
  const fs::path greta = folder / "greta", other = folder / "other", mine = folder / "mine";
  const fs::path program = other / "build/release/bin/greta";
  const fs::path nowhere = folder / "nowhere";
  fs::create_directories(nowhere);
  fs::create_directories(greta / "experiments");
  const struct {
    fs::path spec_folder, working_folder;
    OwnEngine own;
    fs::path root, tree;
  } kCases[] = {
      {greta / "experiments", nowhere, OwnEngine::no, greta, greta},
      {nowhere, greta / "experiments", OwnEngine::no, greta, greta},
      {nowhere, nowhere, OwnEngine::no, other, other},    // the program's
      {mine, greta, OwnEngine::no, greta, greta},         // a git folder, but not its engine
      {mine, greta, OwnEngine::yes, mine, greta},         // its engine
      {nowhere, greta, OwnEngine::repo, nowhere, greta},  // `repo: ../x` starts at the spec
      {other, greta, OwnEngine::no, other, other},        // a tree without git
  };
  for (const auto& c : kCases) {
    const Roots roots =
        find_roots(c.spec_folder, c.own, {.working_folder = c.working_folder, .program = program});
    EXPECT_EQ(roots.root, c.root) << c.spec_folder << " from " << c.working_folder;
    EXPECT_EQ(roots.tree, c.tree) << c.spec_folder << " from " << c.working_folder;
  }
  const Roots none =
      find_roots(nowhere, OwnEngine::no, {.working_folder = nowhere, .program = nowhere / "greta"});
  EXPECT_EQ(none.root, nowhere);
  EXPECT_TRUE(none.tree.empty());
}

TEST(SpecRoot, ASpecElsewhereFindsTheImageOfTheTree) {
  const TestFolder folder;
  folder.write(".git/HEAD", "");
  folder.script("engine.sh", "");
  folder.write("a.yaml", "name: a\nargv: [\"{engine}\"]\n");
  const auto spec = load_spec(
      folder.write("s.yaml", "schema: 1\nmilestone: M\nengine: {binary: engine.sh, adapter: a}\n"),
      {.working_folder = PROJECT_ROOT});
  ASSERT_TRUE(spec) << spec.error().str();
  EXPECT_EQ(spec->root, folder.path());
  EXPECT_EQ(spec->engines[0].image, PROJECT_ROOT "/docker/rocm");
}

TEST(SpecModel, EveryPlaceIsRemembered) {
  const TestFolder folder;
  const fs::path file =
      folder.write("s.yaml", std::string(kHead) + "prompts: [{id: a, text: Hi}]\n");
  auto spec = load_spec(file, {.working_folder = PROJECT_ROOT});
  ASSERT_TRUE(spec) << spec.error().str();
  EXPECT_EQ(spec->model_file, "m.gguf");
  EXPECT_EQ(spec->model_tried,
            (std::vector<fs::path>{folder / "m.gguf", folder / "models/m.gguf",
                                   fs::path(PROJECT_ROOT) / "m.gguf",
                                   fs::path(PROJECT_ROOT) / "experiments/models/m.gguf"}));
  folder.write("models/m.gguf", "GGUF");
  spec = load_spec(file, {.working_folder = PROJECT_ROOT});
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->model_file, folder / "models/m.gguf");
}

}  // namespace
}  // namespace greta::runner
