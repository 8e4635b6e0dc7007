#include "spec/adapter.h"

#include <gtest/gtest.h>

#include "spec/spec.h"
#include "system/test_folder.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;

fs::path testdata(const std::string& name) { return fs::path(RUNNER_TESTDATA) / name; }

TEST(Adapter, EveryKeyReachesItsField) {
  const auto adapter = load_adapter(testdata("adapters/good/full.yaml"), "full.yaml");
  ASSERT_TRUE(adapter) << adapter.error().str();
  EXPECT_EQ(adapter->name, "full");
  EXPECT_EQ(adapter->env.at("OUT"), "{out}/records");
  ASSERT_EQ(adapter->outputs.size(), 2u);
  EXPECT_EQ(adapter->outputs[0].glob, "records/*.jsonl");
  EXPECT_EQ(adapter->outputs[1].kind, "readout");
  EXPECT_EQ(adapter->flags.at("MODE"), (std::vector<std::string>{"slow", "fast"}));
  EXPECT_TRUE(adapter->flags.at("LEVEL").empty());
  EXPECT_FALSE(adapter->any_flags);
  EXPECT_EQ(adapter->request_mode, "one");
  EXPECT_EQ(adapter->sha256.size(), 64u);
  EXPECT_TRUE(mentions(*adapter, "prompt"));
  EXPECT_TRUE(mentions(*adapter, "out"));  // in env
  EXPECT_FALSE(mentions(*adapter, "requests"));
}

TEST(Adapter, TemplatesAreFilled) {
  const auto adapter = load_adapter(testdata("adapters/good/full.yaml"), "full.yaml");
  ASSERT_TRUE(adapter);
  std::map<std::string, std::string> values = {
      {"engine", "/e"}, {"model", "m.gguf"}, {"max_tokens", "2"}, {"prompt", "a {b} c"}};
  auto argv = fill_argv(*adapter, values);
  ASSERT_TRUE(argv) << argv.error().str();
  // Braces inside a value are not placeholders, and an unset flag leaves no empty argument.
  EXPECT_EQ(*argv, (std::vector<std::string>{"/e", "--model", "m.gguf", "--threads=4", "-n2",
                                             "a {b} c", "{literal}"}));
  values["flags.MODE"] = "fast";
  argv = fill_argv(*adapter, values);
  ASSERT_TRUE(argv);
  EXPECT_EQ((*argv)[6], "fast");
  values.erase("model");
  argv = fill_argv(*adapter, values);
  ASSERT_FALSE(argv);
  EXPECT_EQ(argv.error().message, "{model} has no value here");
}

TEST(Adapter, TheBuiltInOneUsesOnlyKnownPlaceholders) {
  const Adapter adapter = builtin_adapter();
  std::map<std::string, std::string> values;
  for (const std::string& name : placeholder_names()) values[name] = "<" + name + ">";
  const auto argv = fill_argv(adapter, values);
  ASSERT_TRUE(argv) << argv.error().str();
  EXPECT_EQ((*argv)[0], "<engine>");
  EXPECT_EQ((*argv)[1], "run");
  EXPECT_TRUE(mentions(adapter, "model"));
  EXPECT_TRUE(mentions(adapter, "requests"));
}

// Each file of adapters/bad is refused for this reason.
TEST(Adapter, Mistakes) {
  const struct {
    const char *text, *message;
  } kCases[] = {
      {"name: a\nargv: [\"{engine}\", \"{modle}\"]\n",
       "a.yaml:2:20: unknown placeholder {modle} in `argv` (did you mean `model`?); a plain brace "
       "is "
       "written `{{`"},
      {"name: a\nargv: [\"{engine}\", \"{print $1}\"]\n",
       "a.yaml:2:20: unknown placeholder {print $1} in `argv`; a plain brace is written "
       "`{{`"},
      {"name: a\nargv: [\"{engine}\", \"a}\"]\n",
       "a.yaml:2:20: `argv`: a brace that is no placeholder (a plain one is written `{{` or `}}`)"},
      {"name: a\nargv: [run, \"{model}\"]\n",
       "a.yaml:2:7: `argv` does not mention {engine}, the program to run"},
      {"name: a\nargv: [\"{engine}\", \"{prompt}\"]\n",
       "a.yaml:1:1: {prompt} stands for one prompt and needs `requests: one`"},
      {"name: a\nargv: [\"{engine}\"]\nenv: {B-C: x}\n",
       "a.yaml:3:7: `B-C` is no name of an environment variable"},
      {"name: a\nargv: []\n", "a.yaml:2:7: `argv` is empty: nothing would run"},
      {"name: a\nargv: [\"{engine}\"]\nschema: 2\n",
       "a.yaml:3:9: `schema` must be at most 1, got `2`"},
      {"name: a\nargv: [\"{engine}\"]\nflags: {MODE: slow}\n",
       "a.yaml:3:15: `flags.MODE` must be `any` or a list of choices, got `slow`"},
      {"name: a\nargv: [\"{engine}\"]\nany_flag: true\n",
       "a.yaml:3:1: unknown key `any_flag` (did you mean `any_flags`?)"},
  };
  const TestFolder folder;
  for (const auto& [text, message] : kCases) {
    const auto adapter = load_adapter(folder.write("a.yaml", text), "a.yaml");
    ASSERT_FALSE(adapter) << text;
    EXPECT_EQ(adapter.error().str(), message);
  }
}

// An engine that is not ours has flags, prompts and records of its own.
TEST(Adapter, SpecsAreHeldToItsFlagTable) {
  const TestFolder folder;
  fs::copy_file(testdata("adapters/good/full.yaml"), folder / "full.yaml");
  folder.script("engine.sh", "");
  const auto load = [&](const std::string& rest) {
    return load_spec(folder.write("s.yaml",
                                  "schema: 1\nmilestone: M\nmodel: {file: none}\n"
                                  "prompts: [{id: a, text: Hi}]\n"
                                  "engine: {binary: engine.sh, adapter: full}\n" +
                                      rest));
  };
  const auto good = load(
      "flags: {MODE: fast, LEVEL: 9}\ndecode: {backend: npu}\n"
      "expect: [{id: x, metric: own_kind.value, le: 1}]\n");
  ASSERT_TRUE(good) << good.error().str();
  EXPECT_EQ(good->engines[0].adapter.name, "full");
  EXPECT_EQ(good->engines[0].binary, folder / "engine.sh");
  EXPECT_EQ(good->isolation, Isolation::request);  // requests: one
  EXPECT_TRUE(good->warnings.empty());             // its records are its own business
  EXPECT_EQ(good->model_file, "none");

  const auto bad = load("flags: {MODE: fats, LEVLE: 9}\n");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message,
            "`MODE` must be one of slow, fast, got `fats` (did you mean `fast`?)\n" +
                (folder / "s.yaml").string() +
                ":6:21: adapter `full` knows no flag `LEVLE` (did you mean `LEVEL`?)");
}

// What takes no prompts and no model needs none.
TEST(Adapter, AnEngineWithoutPromptsHasOneCell) {
  const TestFolder folder;
  folder.write("bare.yaml", "name: bare\nargv: [\"{engine}\", \"{out}\"]\n");
  const auto spec = load_spec(folder.write(
      "s.yaml", "schema: 1\nmilestone: M\nengine: {binary: sh, adapter: bare.yaml}\n"));
  ASSERT_TRUE(spec) << spec.error().str();
  EXPECT_FALSE(spec->has_model);
  ASSERT_EQ(spec->prompts.size(), 1u);
  EXPECT_EQ(spec->prompts[0].id, "none");
}

}  // namespace
}  // namespace greta::runner
