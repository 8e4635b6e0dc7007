// Whole specs: runner/testdata/specs/bad/*/NAME.yaml gives exactly the message in NAME.txt
// (GRETA_UPDATE_GOLDENS=1 writes them), good/*.yaml is read as the cases below say.

#include "spec/spec.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "spec/plan.h"
#include "spec/spec_flags.h"
#include "spec/yaml_problems.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// Messages print paths as given: relative ones from the root of the tree are the same everywhere.
class SpecTest : public testing::Test {
 protected:
  void SetUp() override { fs::current_path(PROJECT_ROOT); }

  static std::vector<fs::path> specs(const std::string& folder) {
    std::vector<fs::path> out;
    for (const auto& entry : fs::directory_iterator("runner/testdata/specs/" + folder)) {
      if (entry.path().extension() == ".yaml") out.push_back(entry.path());
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  static Result<Spec> load_good(const std::string& name, const LoadOptions& options = {}) {
    return load_spec("runner/testdata/specs/good/" + name + ".yaml", options);
  }

  // Everything that lint does with a spec and an engine's description.
  static std::string first_mistakes(const fs::path& file) {
    const auto describe = nlohmann::json::parse(slurp("runner/testdata/describe.json"));
    const auto spec = load_spec(file);
    if (!spec) return spec.error().str();
    const auto variants = expand_variants(*spec);
    if (!variants) return variants.error().str();
    for (const EngineSpec& engine : spec->engines) {
      if (engine.adapter.name != "greta") continue;  // checked by load_spec
      const auto flags = check_flags(*spec, engine, describe);
      if (!flags) return flags.error().str();
    }
    return "";
  }
};

TEST_F(SpecTest, BadSpecsAnswerWithTheirExactMessages) {
  const char* const asked = std::getenv("GRETA_UPDATE_GOLDENS");
  const bool update = asked != nullptr && *asked != '\0';
  size_t checked = 0;
  for (const char* folder : {"bad/yaml", "bad/structure", "bad/meaning"}) {
    for (const fs::path& file : specs(folder)) {
      SCOPED_TRACE(file.string());
      std::string got = first_mistakes(file);
      // Folders of this machine stand in messages that list where a file was looked for.
      for (size_t at; (at = got.find(PROJECT_ROOT "/")) != std::string::npos;) {
        got.erase(at, std::strlen(PROJECT_ROOT "/"));
      }
      got += "\n";
      EXPECT_NE(got, "\n") << "this spec should be refused";
      const fs::path golden = fs::path(file).replace_extension(".txt");
      if (update) std::ofstream(golden, std::ios::binary) << got;
      EXPECT_EQ(got, slurp(golden));
      ++checked;
    }
  }
  EXPECT_GT(checked, 60u);
}

TEST_F(SpecTest, GoodSpecsAndTheExperimentsOfTheTreeAreRead) {
  std::vector<fs::path> files = specs("good");
  for (const auto& entry : fs::directory_iterator("experiments")) {
    const bool is_spec = entry.path().extension() == ".yaml" && entry.path().stem() != "prompts";
    if (is_spec) files.push_back(entry.path());
  }
  EXPECT_GE(files.size(), 8u);
  for (const fs::path& file : files) {
    const auto spec = load_spec(file);
    ASSERT_TRUE(spec) << spec.error().str();
    EXPECT_TRUE(spec->warnings.empty()) << file << ": " << spec->warnings[0];
    EXPECT_TRUE(expand_variants(*spec));
    EXPECT_EQ(spec->text, slurp(file));
  }
}

TEST_F(SpecTest, DefaultsOfAMinimalSpec) {
  const auto spec = load_good("minimal");
  ASSERT_TRUE(spec) << spec.error().str();
  EXPECT_EQ(spec->milestone, "T1");
  EXPECT_EQ(spec->file, fs::path(PROJECT_ROOT) / "runner/testdata/specs/good/minimal.yaml");
  EXPECT_EQ(spec->root, fs::path(PROJECT_ROOT));
  EXPECT_EQ(spec->title_json, "{}");
  EXPECT_EQ(spec->prose_json, "{}");
  EXPECT_EQ(spec->repeat, 1);
  EXPECT_EQ(spec->isolation, Isolation::process);
  EXPECT_EQ(spec->decode.numerics, "strict");
  EXPECT_EQ(spec->limits.timeout_s, 600);
  EXPECT_EQ(spec->engines[0].commit, "worktree");
  EXPECT_EQ(spec->engines[0].image, "docker/rocm");
  EXPECT_EQ(spec->engines[0].adapter.name, "greta");
  ASSERT_EQ(spec->prompts.size(), 1u);
  EXPECT_EQ(spec->prompts[0].text, "Hi");
  EXPECT_EQ(spec->prompts[0].sha256,
            "3639efcd08abb273b1619e82e78c29a7df02c1051b1820e99fc395dcaa3326b8");
  EXPECT_EQ(to_string(spec->prompts[0].place), "runner/testdata/specs/good/minimal.yaml:4:11");
  EXPECT_GE(spec->model_tried.size(), 4u);
}

TEST_F(SpecTest, EveryKeyReachesItsField) {
  const auto spec = load_good("everything");
  ASSERT_TRUE(spec) << spec.error().str();
  EXPECT_EQ(spec->title_json, R"({"en":"Everything","es":"Todo"})");
  const auto prose = nlohmann::json::parse(spec->prose_json);
  EXPECT_EQ(prose["question"]["en"], "One language is enough");
  EXPECT_EQ(prose["changes"], nlohmann::json({{"es", "c"}}));
  EXPECT_EQ(prose.size(), 8u);
  EXPECT_EQ(spec->baseline, std::vector<std::string>{"B3.21@recorded"});
  EXPECT_EQ(spec->engines[0].commit, "HEAD");
  EXPECT_EQ(spec->model_sha256, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
  ASSERT_EQ(spec->prompts.size(), 4u);
  EXPECT_EQ(spec->prompts[1].text, "a\\nb");
  EXPECT_EQ(spec->prompts[2].tokens, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(spec->prompts[3].text, "two lines\nand no break at the end");
  EXPECT_EQ(spec->decode.kv_type, "f16");
  EXPECT_EQ(spec->isolation, Isolation::request);
  EXPECT_EQ(spec->env,
            (std::map<std::string, std::string>{{"LANG", "C.UTF-8"}, {"OMP_NUM_THREADS", "1"}}));
  EXPECT_EQ(spec->repeat, 3);
  EXPECT_EQ(spec->limits.timeout_s, 5400);
  EXPECT_EQ(spec->limits.memory_bytes, int64_t{512} << 20);
  EXPECT_EQ(spec->limits.output_bytes, 20'000'000);
  EXPECT_EQ(spec->limits.pids, 64);
  const auto variants = expand_variants(*spec);
  ASSERT_TRUE(variants);
  ASSERT_EQ(variants->size(), 2u);
  EXPECT_EQ((*variants)[0].name, "GRETA_FORCE_ATTN_DECODE_KERNEL=manual,decode.threads=1");
  EXPECT_EQ((*variants)[1].name, "GRETA_FORCE_ATTN_DECODE_KERNEL=fused,decode.threads=2");
}

TEST_F(SpecTest, ExtendsMergesMapsAndReplacesTheRest) {
  const auto spec = load_good("extends");
  ASSERT_TRUE(spec) << spec.error().str();
  EXPECT_EQ(spec->milestone, "CHILD");
  ASSERT_EQ(spec->prompts.size(), 1u);
  EXPECT_EQ(spec->prompts[0].id, "p4_sys");
  EXPECT_EQ(spec->decode.max_tokens, 4);  // from the base
  EXPECT_EQ(spec->decode.threads, 2);
  EXPECT_EQ(spec->flags, (std::map<std::string, std::string>{{"GRETA_TRACE_STAGE", "1"},
                                                             {"GRETA_TRACE_STAGE_POINTS", "v"}}));
  EXPECT_EQ(to_string(spec->flag_places.at("GRETA_TRACE_STAGE")),
            "runner/testdata/specs/good/base.yaml:6:9");
  EXPECT_EQ(to_string(spec->flag_places.at("GRETA_TRACE_STAGE_POINTS")),
            "runner/testdata/specs/good/extends.yaml:6:9");
  ASSERT_EQ(spec->matrix.size(), 2u);
  EXPECT_EQ(spec->matrix[0].first, "GRETA_FORCE_ATTN_DECODE_KERNEL");
  EXPECT_EQ(spec->expect.size(), 1u);
}

TEST_F(SpecTest, AnAxisOfEnginesTakesThemInItsOrder) {
  const auto spec = load_good("engines");
  ASSERT_TRUE(spec) << spec.error().str();
  ASSERT_EQ(spec->engines.size(), 3u);
  EXPECT_EQ(spec->engines[0].name, "other");
  EXPECT_EQ(spec->engines[0].program, "tool");
  EXPECT_EQ(spec->engines[0].adapter.name, "in-place");
  EXPECT_EQ(spec->engines[1].commit, "HEAD");
  EXPECT_EQ(spec->engines[2].commit, "v1");
  EXPECT_EQ(spec->secrets, std::vector<std::string>{"HF_TOKEN"});
  const auto variants = expand_variants(*spec);
  ASSERT_TRUE(variants) << variants.error().str();
  ASSERT_EQ(variants->size(), 6u);
  EXPECT_EQ(variants->at(4).name, "engine=before,decode.threads=2");
  EXPECT_EQ(variants->at(4).engine, 2u);
  EXPECT_EQ(variants->at(4).flags,
            (std::map<std::string, std::string>{{"GRETA_TRACE_STAGE", "1"}}));
  EXPECT_TRUE(variants->at(0).flags.empty()) << "a flag of one engine reached another";
}

// What a run keeps of its spec must be the same experiment without the files around it.
TEST_F(SpecTest, TheFlatFormPlansTheSameCells) {
  auto files = specs("good");
  for (const char* name :
       {"experiments/B3.21.yaml", "experiments/smoke.yaml", "experiments/llama_cpp.yaml"}) {
    files.emplace_back(name);
  }
  for (const fs::path& file : files) {
    const auto spec = load_spec(file);
    ASSERT_TRUE(spec) << spec.error().str();
    const auto flat =
        load_spec(fs::absolute(file).parent_path() / "gone.yaml", {.text = spec->flat});
    ASSERT_TRUE(flat) << file << "\n" << flat.error().str() << "\n" << spec->flat;
    EXPECT_EQ(flat->flat, spec->flat) << file;
    ResolvedInputs inputs;
    inputs.engines.resize(spec->engines.size());
    const auto plan = make_plan(*spec, inputs), again = make_plan(*flat, inputs);
    ASSERT_TRUE(plan && again);
    ASSERT_EQ(plan->cells.size(), again->cells.size()) << file;
    for (size_t i = 0; i < plan->cells.size(); ++i) {
      EXPECT_EQ(plan->cells[i].identity_json, again->cells[i].identity_json) << file;
      EXPECT_EQ(plan->variants[plan->cells[i].variant].name,
                again->variants[again->cells[i].variant].name);
    }
    EXPECT_EQ(flat->expect.size(), spec->expect.size()) << file;
    EXPECT_EQ(flat->baseline, spec->baseline) << file;
  }
}

TEST_F(SpecTest, ScalarsAreTakenAsWritten) {
  const auto spec = load_good("scalars");
  ASSERT_TRUE(spec) << spec.error().str();
  EXPECT_EQ(spec->milestone, "3.10");
  const std::map<std::string, std::string> env = {{"A", "on"},    {"B", "1e3"},    {"C", "0123"},
                                                  {"D", "1_000"}, {"E", "quoted"}, {"F", "0x1F"},
                                                  {"G", "3.10"},  {"H", ""},       {"I", "Yes"}};
  EXPECT_EQ(spec->env, env);
  EXPECT_EQ(spec->matrix[1].second, (std::vector<std::string>{"on", "off"}));
  EXPECT_EQ(spec->prompts[0].text, "no");
}

TEST_F(SpecTest, VariablesAndTheirOverrides) {
  auto spec = load_good("vars");
  ASSERT_TRUE(spec) << spec.error().str();
  EXPECT_EQ(spec->milestone, "T.2");
  EXPECT_EQ(spec->decode.max_tokens, 2);
  EXPECT_EQ(spec->prompts[0].text, "It costs ${N} and $5, 2 times");
  spec = load_good("vars", {.vars = {{"N", "5"}, {"KERNEL", "manual"}}});
  ASSERT_TRUE(spec) << spec.error().str();
  EXPECT_EQ(spec->repeat, 5);
  EXPECT_EQ(spec->flags.at("GRETA_FORCE_ATTN_DECODE_KERNEL"), "manual");
  const auto wrong = load_good("vars", {.vars = {{"KERNAL", "manual"}}});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message,
            "--var `KERNAL` is not declared in `vars` (did you mean `KERNEL`?)");
}

TEST_F(SpecTest, GatesOfEveryForm) {
  const auto spec = load_good("everything");
  ASSERT_TRUE(spec) << spec.error().str();
  ASSERT_EQ(spec->expect.size(), 12u);
  using Form = store::Gate::Form;
  const auto& arms = spec->expect[0];
  EXPECT_EQ(arms.form, Form::distinct);
  EXPECT_EQ(arms.kind + "." + arms.field, "attn_decode_verify.kernel_hash");
  EXPECT_TRUE(arms.fields.empty());
  EXPECT_EQ(arms.across, std::vector<std::string>{"GRETA_FORCE_ATTN_DECODE_KERNEL"});
  EXPECT_EQ(arms.per, std::vector<std::string>{"layer"});
  EXPECT_EQ(arms.line, 48);
  EXPECT_EQ(spec->expect[1].fields.size(), 2u);
  const auto& ref = spec->expect[2];
  EXPECT_EQ(ref.form, Form::metric);
  ASSERT_EQ(ref.bounds.size(), 1u);
  EXPECT_EQ(ref.bounds[0].compare, "le");
  EXPECT_EQ(ref.bounds[0].limit_field, "bound");
  EXPECT_EQ(ref.where, "layer > 0");
  EXPECT_EQ(ref.per, (std::vector<std::string>{"layer", "head"}));
  EXPECT_EQ(spec->expect[3].agg, "mean");
  EXPECT_EQ(spec->expect[3].bounds[0].compare, "ge");
  EXPECT_EQ(spec->expect[3].bounds[0].limit, -1.5e-3);
  EXPECT_EQ(spec->expect[4].form, Form::all);
  EXPECT_EQ(spec->expect[5].sql, "SELECT nan = 0 FROM readout");
  using What = store::Partner::What;
  const auto& slower = spec->expect[6];
  EXPECT_EQ(slower.form, Form::metric);
  EXPECT_EQ(slower.partner.what, What::baseline);
  ASSERT_EQ(slower.bounds.size(), 2u);
  EXPECT_EQ(slower.bounds[0].compare + "," + slower.bounds[1].compare, "le,ge");
  EXPECT_EQ(slower.bounds[0].limit, 1.05);
  EXPECT_EQ(slower.bounds[1].limit, 0.5);
  const std::map<std::string, std::string> one_thread = {{"decode.threads", "1"}};
  EXPECT_EQ(spec->expect[7].partner.what, What::arm);
  EXPECT_EQ(spec->expect[7].partner.arm, one_thread);
  EXPECT_EQ(spec->expect[8].partner.what, What::run);
  EXPECT_EQ(spec->expect[8].partner.run, "B3.20@recorded");
  EXPECT_EQ(spec->expect[9].form, Form::floor);
  EXPECT_EQ(spec->expect[9].partner.what, What::baseline);
  EXPECT_EQ(spec->expect[10].form, Form::floor);
  EXPECT_EQ(spec->expect[10].partner.arm, one_thread);
  EXPECT_EQ(spec->expect[10].where, "step = 0");
  EXPECT_EQ(spec->expect[11].agg, "median");
  EXPECT_EQ(spec->expect[11].partner.what, What::none);
}

TEST_F(SpecTest, TheFirstMistakeHasThePlaceAndTheRestFollow) {
  const auto spec = load_spec("runner/testdata/specs/bad/structure/several_mistakes.yaml");
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().file, "runner/testdata/specs/bad/structure/several_mistakes.yaml");
  EXPECT_EQ(spec.error().line, 5);
  EXPECT_EQ(spec.error().exit_code, static_cast<int>(Exit::usage));
  EXPECT_EQ(std::count(spec.error().message.begin(), spec.error().message.end(), '\n'), 6);
}

TEST_F(SpecTest, AFileThatIsNotThereNamesItsNeighbour) {
  const auto spec = load_spec("experiments/B3.12.yaml");
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().str(),
            "experiments/B3.12.yaml: no such file (did you mean `B3.21.yaml`?)");
  const auto folder = load_spec("experiments");
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().str(), "experiments: not a regular file");
}

}  // namespace
}  // namespace greta::runner
