// The program as its users meet it: argv and environment in; exit code, streams and files out.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace greta::engine {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

std::string content(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void put(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

struct Limits {
  rlim_t file_bytes = RLIM_INFINITY;
  std::string stdout_path = {};  // instead of a file of the test's folder
};

class Cli : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(::testing::TempDir()) / ("cli_" + std::string(test->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }

  pid_t start(const Words& arguments, const Words& environment = {}, const Limits& limits = {}) {
    stdout_ = limits.stdout_path.empty() ? folder_ / "stdout" : fs::path(limits.stdout_path);
    Words argv = {GRETA_INFER};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv_pointers, environment_pointers;
    for (auto& word : argv) argv_pointers.push_back(word.data());
    argv_pointers.push_back(nullptr);
    Words variables = environment;
    for (auto& word : variables) environment_pointers.push_back(word.data());
    environment_pointers.push_back(nullptr);
    const pid_t child = fork();
    if (child != 0) return child;
    dup2(open(stdout_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDOUT_FILENO);
    dup2(open((folder_ / "stderr").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
    dup2(open(stdin_.c_str(), O_RDONLY), STDIN_FILENO);
    if (limits.file_bytes != RLIM_INFINITY) {
      const rlimit limit{limits.file_bytes, limits.file_bytes};
      setrlimit(RLIMIT_FSIZE, &limit);
      std::signal(SIGXFSZ, SIG_IGN);  // the write then fails, as it does on a full disk
    }
    execve(argv_pointers[0], argv_pointers.data(), environment_pointers.data());
    _exit(127);
  }

  int finish(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    out_ = limited_stdout() ? content(stdout_) : "";
    err_ = content(folder_ / "stderr");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  bool limited_stdout() const { return stdout_ == folder_ / "stdout"; }

  int run(const Words& arguments, const Words& environment = {}, const Limits& limits = {}) {
    return finish(start(arguments, environment, limits));
  }

  // The last line of every records file ends, and parses.
  void expect_whole_lines(const fs::path& out) {
    for (const auto& entry : fs::directory_iterator(out)) {
      if (entry.path().extension() != ".jsonl") continue;
      const std::string text = content(entry.path());
      if (text.empty()) continue;
      EXPECT_EQ(text.back(), '\n') << entry.path();
      std::istringstream lines(text);
      for (std::string line; std::getline(lines, line);) EXPECT_TRUE(Json::accept(line)) << line;
    }
  }

  fs::path folder_, stdout_, stdin_ = "/dev/null";
  std::string out_, err_;
};

const Words kHi = {"run", "--model", GRETA_TINY, "--prompt", "The capital of Argentina is"};

Words operator+(Words left, const Words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

TEST_F(Cli, EveryWrongCommandLineIsOneLineAndItsExitCode) {
  const fs::path full = folder_ / "full";
  fs::create_directories(full);
  put(full / "old.jsonl", "{}\n");
  put(folder_ / "empty.gguf", "");
  put(folder_ / "cut.gguf", content(GRETA_TINY).substr(0, 1000000));
  put(folder_ / "r.jsonl", "{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":\"b\",\"txt\":\"x\"}\n");
  const std::string model = GRETA_TINY;
  struct Case {
    Words arguments, environment;
    int exit_code;
    std::string message;  // part of the line
  };
  const std::vector<Case> cases = {
      {{}, {}, 2, "no command; see greta-infer --help"},
      {{"rnu"}, {}, 2, "unknown command `rnu` (did you mean `run`?)"},
      {{"run", "--modle", model}, {}, 2, "unknown option `--modle` (did you mean `--model`?)"},
      {{"run", "--modle=x"}, {}, 2, "unknown option `--modle` (did you mean `--model`?)"},
      {{"run", "extra"}, {}, 2, "unexpected argument `extra`"},
      {{"--verbose"}, {}, 2, "unknown option `--verbose`"},
      {{"run", "--prompt", "x"}, {}, 2, "no model; give one with --model FILE"},
      {{"run", "--model", model}, {}, 2, "no prompt; give one of --prompt"},
      {kHi + Words{"--tokens", "x"}, {}, 2, "more than one prompt"},
      {kHi + Words{"--max-tokens", "many"}, {}, 2, "--max-tokens many: expected a whole number"},
      {kHi + Words{"--max-tokens", "-1"}, {}, 2, "--max-tokens -1: expected a whole number from 0"},
      {kHi + Words{"-t", "0"}, {}, 2, "--threads 0: expected a whole number from 1 to 1024"},
      {kHi + Words{"--threads=-1"}, {}, 2, "--threads -1: expected a whole number from 1 to 1024"},
      {kHi + Words{"--seed", "-1"}, {}, 2, "--seed -1: expected a whole number from 0 to 1844"},
      {kHi + Words{"--seed", "18446744073709551616"}, {}, 2, "6: expected a whole number from 0"},
      {kHi + Words{"--top-k", "1.5"}, {}, 2, "--top-k 1.5: expected a whole number"},
      {kHi + Words{"--temperature", "nan"}, {}, 2, "--temperature nan is outside 0 to 100"},
      {kHi + Words{"--temperature", "1", "--top-p", "0"}, {}, 2, "expected above 0 and at most 1"},
      {kHi + Words{"-o", ""}, {}, 2, "--out \"\": expected the name of a file or folder"},
      {kHi + Words{"--requests", ""}, {}, 2, "--requests \"\": expected the name"},
      {kHi + Words{"--numerics", "stric"},
       {},
       2,
       "expected one of strict, fast (did you mean `strict`?)"},
      {kHi + Words{"--kv-type", "f61"},
       {},
       2,
       "expected one of f32, f16, bf16 (did you mean `f16`?)"},
      {kHi + Words{"--backend", "cup"}, {}, 2, "unknown backend `cup` (did you mean `cpu`?)"},
      {kHi + Words{"--backend", "hip"}, {}, 4, "available: cpu, ref, emu, cpu+emu"},
      {kHi + Words{"--dump-logits"}, {}, 2, "--dump-logits writes into --out"},
      {kHi + Words{"--out", full}, {}, 2, "is not empty (it holds `old.jsonl`)"},
      {kHi,
       {"GRETA_TRACE_STGAE=1"},
       2,
       "unknown flag GRETA_TRACE_STGAE (did you mean `GRETA_TRACE_STAGE`?)"},
      {kHi,
       {"GRETA_TRACE_ATTN_LAYERS=31"},
       2,
       "GRETA_TRACE_ATTN_LAYERS=31: expected layers of the model, which are 0 to 7"},
      {kHi,
       {"GRETA_TRACE_ATTN_HEAD=2,64"},
       2,
       "GRETA_TRACE_ATTN_HEAD=2,64: expected heads of the model, which are 0 to "},
      {kHi + Words{"--backend", "ref"},
       {"GRETA_TRACE_V_ADDR=1"},
       4,
       "GRETA_TRACE_V_ADDR=1: this backend has no KV cache"},
      {kHi + Words{"--backend", "ref"},
       {"GRETA_TRACE_ATTN_DECODE_VERIFY=1", "GRETA_TRACE_KV_INVARIANTS=1"},
       4,
       "GRETA_TRACE_KV_INVARIANTS=1: this backend has no KV cache"},
      {kHi, {"GRETA_TRACE_READOUT_OUT=a/b.jsonl"}, 2, "outputs live in the folder --out"},
      {kHi, {"GRETA_MAX_SEQ_LEN=100000"}, 2, "the model was trained for 1024 positions"},
      {kHi, {"GRETA_INJECT=kv_layer_bsae"}, 2, "did you mean `kv_layer_base`?"},
      {{"run", "--model", model, "--prompt", "Hi", "--backend", "cpu"},
       {"GRETA_FORCE_ATTN_DECODE_MATMUL=mfma"},
       4,
       "needs a device's kernels: --backend auto, cpu+emu, emu, hip or cuda"},
      {{"run", "--model", model, "--prompt", "Hi", "--backend", "cpu"},
       {"GRETA_INJECT=no_max_subtract"},
       2,
       "is one of a device's kernels; use --backend cpu+emu or emu"},
      {{"run", "--model", model, "--prompt", "Hi", "--backend", "emu"},
       {"GRETA_INJECT=gqa_map:head=1"},
       2,
       "leave out head="},
      {{"run", "--model", "/none.gguf", "--prompt", "x"},
       {},
       3,
       "/none.gguf: cannot open the model"},
      {{"run", "--model", folder_, "--prompt", "x"}, {}, 3, "this is a folder, not a GGUF file"},
      {{"run", "--model", folder_ / "empty.gguf", "--prompt", "x"}, {}, 3, "the file is empty"},
      {{"run", "--model", folder_ / "cut.gguf", "--prompt", "x"}, {}, 3, "bytes are missing"},
      {{"run", "--model", model, "--prompt-file", "/none.txt"}, {}, 3, "/none.txt: cannot open"},
      {{"run", "--model", model, "--prompt-file", folder_}, {}, 3, "cannot read: Is a directory"},
      {{"run", "--model", model, "--requests", folder_ / "r.jsonl"},
       {},
       3,
       "r.jsonl:2: unknown key `txt` (did you mean `text`?)"},
      {{"tokenize", "--model", model}, {}, 2, "give the text by --text T or by --file F"},
      {{"perplexity", "--model", model}, {}, 2, "no text; give one with --file or --tokens"},
      {{"perplexity", "--model", model, "--file", "x", "--tokens", "x"},
       {},
       2,
       "more than one text"},
      {{"perplexity", "--model", model, "--file", model, "--context", "2000"},
       {},
       2,
       "--context 2000: the model was trained for 1024 positions"},
      {{"perplexity", "--model", model, "--file", model, "--context", "900"},
       {"GRETA_MAX_SEQ_LEN=800"},
       2,
       "more than GRETA_MAX_SEQ_LEN=800"},
      {{"perplexity", "--model", model, "--file", folder_ / "r.jsonl"},
       {},
       3,
       "fewer than a window of 512"},
      {{"perplexity", "--model", model, "--against", model}, {}, 3, "does not begin with GRETALOG"},
      {{"perplexity", "--model", model, "--file", model, "--save-logits", model},
       {},
       2,
       "would replace a file that is read"},
      {{"synth", "--layers", "-1", folder_ / "x.gguf"}, {}, 2, "--layers -1: expected a whole"},
      {{"synth", ""}, {}, 2, "OUT \"\": expected the name"},
      {{"inspect", "/none.gguf"}, {}, 3, "/none.gguf: cannot open"},
      {{"bench", "--model", model, "--repeat", "0"}, {}, 2, "--repeat 0: expected a whole number"},
      {{"bench", "--model", model, "--traces", ""}, {}, 2, "--traces \"\": expected the name"},
      {{"perplexity", "--model", model, "--windows", "-1"},
       {},
       2,
       "--windows -1: expected a whole"},
      {{"perplexity", "--model", model, "-c", "1"}, {}, 2, "--context 1: expected a whole number"},
      {{"bench", "--model", model, "-p", "2000"}, {}, 2, "do not fit into the 1024 positions"},
  };
  for (const auto& [arguments, environment, exit_code, message] : cases) {
    EXPECT_EQ(run(arguments, environment), exit_code) << message;
    EXPECT_NE(err_.find(message), std::string::npos) << "wanted: " << message << "\ngot: " << err_;
    EXPECT_TRUE(err_.starts_with("greta-infer: ")) << err_;
    EXPECT_EQ(std::count(err_.begin(), err_.end(), '\n'), 1) << err_;
    EXPECT_EQ(out_, "") << message;
  }
}

// Commands that read no flag, too: the variable stands there for the next command.
TEST_F(Cli, EveryCommandRefusesAnUnknownFlag) {
  const std::vector<Words> commands = {{"inspect", GRETA_TINY},
                                       {"tokenize", "--model", GRETA_TINY, "--text", "Hi"},
                                       {"describe", "--json"},
                                       {"synth", "--list"},
                                       {"bench"},
                                       {"perplexity"},
                                       {"run"}};
  for (const Words& command : commands) {
    EXPECT_EQ(run(command, {"GRETA_TRACE_STGAE=1"}), 2) << command[0];
    EXPECT_NE(err_.find("unknown flag GRETA_TRACE_STGAE (did you mean `GRETA_TRACE_STAGE`?)"),
              std::string::npos)
        << command[0] << ": " << err_;
    EXPECT_EQ(out_, "") << command[0];
  }
  EXPECT_EQ(run({"describe"}, {"GRETA_STORE=/x.sqlite", "GRETA_TRACE_STAGE=1"}), 0) << err_;
  EXPECT_EQ(err_, "");
}

// The answer stays; what the flags asked for in vain is told, a line each.
TEST_F(Cli, FlagsWithoutEffectAreToldOf) {
  put(folder_ / "ids", "1 2 3 4 5 6 7 8 9 10");
  const Words two = kHi + Words{"-n", "2", "--out", folder_ / "out"};
  const Words bench = {"bench", "--model", GRETA_TINY, "-p", "4", "-d", "1", "-r", "1"};
  const Words perplexity = {"perplexity",    "--model",   GRETA_TINY, "--tokens",
                            folder_ / "ids", "--context", "8"};
  const std::string unread = "greta-infer: warning: set, but nothing in this run read it: ";
  struct Case {
    Words arguments, environment;
    std::string told;
  };
  const std::vector<Case> cases = {
      {two, {"GRETA_TRACE_STAGE=1", "GRETA_TRACE_STAGE_PHASES=decode0,decode7"}, ""},
      {two,
       {"GRETA_TRACE_STAGE=1", "GRETA_TRACE_STAGE_PHASES=decode1,decode7"},
       "greta-infer: warning: GRETA_TRACE_STAGE_PHASES=decode1,decode7 matched no pass of this "
       "run\n"},
      {two, {"GRETA_TRACE_STAGE=1", "GRETA_TRACE_STAGE_POSITIONS=0,900"}, ""},
      {two,
       {"GRETA_TRACE_STAGE=1", "GRETA_TRACE_STAGE_POSITIONS=900"},
       "greta-infer: warning: GRETA_TRACE_STAGE_POSITIONS=900 matched no position of this run\n"},
      // No pass, so no position: the phases are at fault. A verification of decode sees no prefill.
      {two,
       {"GRETA_TRACE_ATTN_DECODE_VERIFY=1", "GRETA_TRACE_ATTN_PHASES=prefill_last",
        "GRETA_TRACE_ATTN_POSITIONS=0"},
       "greta-infer: warning: GRETA_TRACE_ATTN_PHASES=prefill_last matched no pass of this run\n"},
      {two,
       {"GRETA_TRACE_STAGE_LAYERS=1", "GRETA_ATTN_DECODE_REF=1"},
       unread + "GRETA_TRACE_STAGE_LAYERS, GRETA_ATTN_DECODE_REF\n"},
      {bench, {"GRETA_TRACE_STAGE=1"}, unread + "GRETA_TRACE_STAGE\n"},
      {bench + Words{"--traces", folder_ / "traces"}, {"GRETA_TRACE_STAGE=1"}, ""},
      {perplexity, {"GRETA_TRACE_STAGE=1"}, unread + "GRETA_TRACE_STAGE\n"},
      {perplexity, {"GRETA_FORCE_ATTN_DECODE_KERNEL=fused"}, ""},
  };
  for (const auto& [arguments, environment, told] : cases) {
    fs::remove_all(folder_ / "out");
    EXPECT_EQ(run(arguments, environment), 0) << err_;
    EXPECT_EQ(err_, told) << environment.back();
    EXPECT_NE(out_, "");
  }
}

TEST_F(Cli, RunAnswersAndRecords) {
  const fs::path out = folder_ / "out";
  ASSERT_EQ(run(kHi + Words{"--max-tokens", "3", "--threads", "2", "--greedy", "--out", out},
                {"GRETA_TRACE_READOUT_OUT=answers.jsonl", "GRETA_ATTN_DECODE_REF=1"}),
            0)
      << err_;
  EXPECT_EQ(out_, " Buenos Aires.\n");
  EXPECT_NE(err_.find("nothing in this run read it: GRETA_ATTN_DECODE_REF\n"), std::string::npos);
  expect_whole_lines(out);
  EXPECT_FALSE(fs::exists(out / "readout.jsonl"));
  std::istringstream lines(content(out / "answers.jsonl"));
  std::string line, phases;
  while (std::getline(lines, line)) phases += Json::parse(line)["phase"].get<std::string>() + " ";
  EXPECT_EQ(phases, "prefill_last decode0 decode1 ");
  const Json effective = Json::parse(content(out / "effective.json"));
  EXPECT_EQ(effective["backend"], "cpu");
  EXPECT_EQ(effective["threads"], 2);
  EXPECT_EQ(effective["model"]["layers"], 8);
  EXPECT_GT(effective["kernels"].size(), 3u);
  for (const auto& kernel : effective["kernels"])
    EXPECT_GT(kernel["launches"].get<int>(), 0) << kernel;
  for (const auto& flag : effective["flags"]) {
    if (flag["name"] == "GRETA_FORCE_ATTN_DECODE_KERNEL") {
      EXPECT_TRUE(flag["read"].get<bool>());
    }
    // Set, but the trace that it belongs to is off: nothing read it, and the file says so.
    if (flag["name"] == "GRETA_ATTN_DECODE_REF") {
      EXPECT_EQ(flag["source"], "env");
      EXPECT_FALSE(flag["read"].get<bool>());
    }
  }
}

TEST_F(Cli, OnePromptFourWays) {
  put(folder_ / "prompt.txt", "The capital of Argentina is");
  ASSERT_EQ(
      run({"tokenize", "--model", GRETA_TINY, "--text", "The capital of Argentina is", "--ids"}),
      0);
  put(folder_ / "ids", out_);
  put(folder_ / "r.jsonl",
      "{\"id\":\"a\",\"text\":\"The capital of Argentina is\",\"max_tokens\":3}");
  const Words base = {"run", "--model", GRETA_TINY, "-n", "3"};
  for (const Words& prompt :
       {Words{"--prompt-file", folder_ / "prompt.txt"}, Words{"--tokens", folder_ / "ids"},
        Words{"--requests", folder_ / "r.jsonl"}, Words{"--prompt-file", "-"},
        Words{"--prompt", "<|begin_of_text|>The capital of Argentina is"},
        Words{"--prompt", "The capital of Argentina is", "--backend", "ref"}}) {
    stdin_ = folder_ / "prompt.txt";
    EXPECT_EQ(run(base + prompt), 0) << err_;
    EXPECT_EQ(out_, " Buenos Aires.\n") << prompt[1];
  }
}

TEST_F(Cli, ABadRequestDoesNotTakeTheOthersWithIt) {
  std::string words;
  for (int i = 0; i < 2000; ++i) words += "word ";
  put(folder_ / "r.jsonl", "{\"id\":\"a\",\"text\":\"Hi\"}\n{\"id\":\"long\",\"text\":\"" + words +
                               "\"}\n{\"id\":\"z\",\"text\":\"Hi\"}\n");
  const fs::path out = folder_ / "out";
  EXPECT_EQ(run({"run", "--model", GRETA_TINY, "--requests", folder_ / "r.jsonl", "-n", "2",
                 "--out", out}),
            3);
  EXPECT_TRUE(err_.starts_with("greta-infer: request `long`: ")) << err_;
  EXPECT_EQ(std::count(err_.begin(), err_.end(), '\n'), 1) << err_;
  std::istringstream lines(content(out / "request_end.jsonl"));
  std::string line, ids;
  while (std::getline(lines, line)) ids += Json::parse(line)["request"].get<std::string>() + " ";
  EXPECT_EQ(ids, "a z ");
  EXPECT_EQ(out_.substr(0, 5), "## a\n");
  EXPECT_TRUE(fs::exists(out / "effective.json"));
}

TEST_F(Cli, AFailedRunStillSaysWhichFlagsItRead) {
  const fs::path out = folder_ / "out";
  EXPECT_EQ(run({"run", "--model", "/none.gguf", "--prompt", "x", "--out", out}), 3);
  const Json effective = Json::parse(content(out / "effective.json"));
  EXPECT_EQ(effective["model"]["file"], "/none.gguf");
  EXPECT_FALSE(effective["model"].contains("layers"));
}

TEST_F(Cli, SlipsInPromptsAreWarnedOf) {
  const Words base = {"run", "--model", GRETA_TINY, "-n", "1", "--prompt"};
  EXPECT_EQ(run(base + Words{GRETA_TINY}), 0);
  EXPECT_NE(err_.find("Did you mean --prompt-file?"), std::string::npos) << err_;
  EXPECT_EQ(run(base + Words{"Hi\\n"}), 0);
  EXPECT_NE(err_.find("a backslash followed by n, two characters"), std::string::npos) << err_;
  EXPECT_EQ(run(base + Words{"a\xff"}), 0);
  EXPECT_NE(err_.find("no UTF-8 from byte 1 on"), std::string::npos) << err_;
  EXPECT_EQ(run(base + Words{"Hi\n"}), 0);
  EXPECT_EQ(err_, "");
}

TEST_F(Cli, SignalsStopBetweenTokens) {
  for (const auto& [signal, exit_code] : {std::pair{SIGTERM, 143}, std::pair{SIGINT, 130}}) {
    const fs::path out = folder_ / ("out" + std::to_string(signal));
    fs::remove(folder_ / "stdout");
    const pid_t child = start({"run", "--model", GRETA_TINY, "--prompt", "Hi", "-n", "1000",
                               "--no-stop-at-eos", "--backend", "ref", "--out", out});
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    // Text comes while the run goes on.
    while (content(stdout_).empty() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    kill(child, signal);
    EXPECT_EQ(finish(child), exit_code);
    EXPECT_TRUE(fs::exists(out / "effective.json"));
    EXPECT_FALSE(fs::exists(out / "request_end.jsonl"))
        << "an unfinished request must not look complete";
    EXPECT_EQ(std::count(err_.begin(), err_.end(), '\n'), 1) << err_;
    expect_whole_lines(out);
  }
}

TEST_F(Cli, AFullDiskIsAnErrorAndLeavesNoHalfRecord) {
  const fs::path out = folder_ / "out";
  EXPECT_EQ(
      run(kHi + Words{"-n", "4", "--out", out}, {"GRETA_TRACE_STAGE=1"}, {.file_bytes = 10000}), 2);
  EXPECT_NE(err_.find("stage_trace.jsonl: cannot write: File too large"), std::string::npos)
      << err_;
  EXPECT_GT(fs::file_size(out / "stage_trace.jsonl"), 0u);
  expect_whole_lines(out);
  EXPECT_FALSE(fs::exists(out / "request_end.jsonl"));
  for (const Words& talk :
       {Words{"describe"}, Words{"--help"}, Words{"run", "--help"}, Words{"--version"}}) {
    EXPECT_EQ(run(talk, {}, {.stdout_path = "/dev/full"}), 2) << talk[0];
    EXPECT_NE(err_.find("cannot write to stdout: No space left on device"), std::string::npos)
        << err_;
  }
}

TEST_F(Cli, LooksAtModelsAndTexts) {
  ASSERT_EQ(run({"inspect", GRETA_TINY, "--json"}), 0) << err_;
  const Json model = Json::parse(out_);
  EXPECT_EQ(model["runnable"], "yes");
  EXPECT_EQ(model["metadata"]["llama.block_count"], 8);
  EXPECT_EQ(model["tensors"][0]["name"], "token_embd.weight");
  ASSERT_EQ(run({"inspect", GRETA_TINY}), 0);
  EXPECT_NE(out_.find("blk.7.ffn_down.weight"), std::string::npos);
  ASSERT_EQ(run({"tokenize", "--model", GRETA_TINY, "--text", "<|eot_id|>", "--no-bos", "--ids"}),
            0);
  EXPECT_EQ(Json::parse(out_).size(), 1u);
  ASSERT_EQ(run({"tokenize", "--model", GRETA_TINY, "--text", "<|eot_id|>", "--no-bos",
                 "--no-special", "--ids"}),
            0);
  EXPECT_GT(Json::parse(out_).size(), 1u);
  put(folder_ / "a", "Hi");
  put(folder_ / "b", "Hola");
  const Words two = {"tokenize",    "--model", GRETA_TINY,   "--file",
                     folder_ / "a", "--file",  folder_ / "b"};
  ASSERT_EQ(run(two + Words{"--ids"}), 0) << err_;
  std::istringstream lists(out_);
  std::string one;
  size_t texts = 0;
  for (; std::getline(lists, one); ++texts) EXPECT_EQ(Json::parse(one)[0], 8176) << one;
  EXPECT_EQ(texts, 2u);
  ASSERT_EQ(run(two), 0) << err_;
  EXPECT_NE(out_.find("## " + (folder_ / "b").string() + "\n8176\t"), std::string::npos) << out_;
  ASSERT_EQ(run({"tokenize", "--model", GRETA_TINY, "--text", "😀", "--no-bos"}), 0);
  EXPECT_NE(out_.find("\"\\x98\""), std::string::npos) << out_;
}

TEST_F(Cli, BenchGivesEverySample) {
  ASSERT_EQ(run({"bench", "--model", GRETA_TINY, "--threads", "1", "--prompt-tokens", "8",
                 "--decode-tokens", "2", "--repeat", "3", "--json"}),
            0)
      << err_;
  const Json bench = Json::parse(out_);
  EXPECT_EQ(bench["prefill_tok_s"].size(), 3u);
  EXPECT_EQ(bench["decode_tok_s"].size(), 3u);
  EXPECT_GT(bench["decode_tok_s_median"].get<double>(), 0);
  EXPECT_FALSE(bench.contains("trace_cost_decode"));

  // With traces: as many samples again, and the records of the default ones in the folder.
  const fs::path traces = folder_ / "traces";
  ASSERT_EQ(run({"bench", "--model", GRETA_TINY, "--threads", "1", "--prompt-tokens", "8",
                 "--decode-tokens", "2", "--repeat", "3", "--json", "--traces", traces.string()}),
            0)
      << err_;
  const Json traced = Json::parse(out_);
  EXPECT_EQ(traced["decode_tok_s"].size(), 3u);
  EXPECT_EQ(traced["traced_decode_tok_s"].size(), 3u);
  EXPECT_TRUE(traced["trace_cost_decode"].is_number());
  std::ifstream readout(traces / "readout.jsonl");
  int64_t lines = 0;
  for (std::string line; std::getline(readout, line);) ++lines;
  EXPECT_EQ(lines, 3 * (1 + 2));
  EXPECT_EQ(run({"bench", "--model", GRETA_TINY, "--traces", traces.string()}), 2);
}

TEST_F(Cli, PerplexityAgainstLogitsThatWereKept) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "The capital of Argentina is Buenos Aires. ";
  put(folder_ / "text", text);
  const fs::path kept = folder_ / "kept.logits";
  const Words base = {"perplexity", "--model", GRETA_TINY, "--json"};
  const Words small = {"--context", "64", "--windows", "3"};
  ASSERT_EQ(run(base + small + Words{"--file", folder_ / "text", "--save-logits", kept}), 0)
      << err_;
  const Json first = Json::parse(out_);
  EXPECT_EQ(first["scored"], 3 * 31);
  EXPECT_EQ(first["tokens"], 3 * 64);
  EXPECT_NEAR(first["perplexity"].get<double>(), std::exp(first["nll"].get<double>()), 1e-9);
  EXPECT_EQ(fs::file_size(kept), 64 + 192 * 4 + 93 * (8192 * 4 + 8u));

  // The file has the text and its windows; another number of threads has the same bits.
  ASSERT_EQ(run(base + Words{"--against", kept, "--threads", "1"}), 0) << err_;
  const Json same = Json::parse(out_)["against"];
  EXPECT_TRUE(same["same_model"].get<bool>());
  EXPECT_EQ(same["kl_max"], 0);
  EXPECT_EQ(same["delta_logit_max"], 0);
  EXPECT_EQ(same["top1_agreement"], 1);

  // So it has whether a begin-of-text token was put in.
  const fs::path plain = folder_ / "plain.logits";
  ASSERT_EQ(
      run(base + small + Words{"--file", folder_ / "text", "--no-bos", "--save-logits", plain}), 0)
      << err_;
  ASSERT_EQ(run(base + Words{"--against", plain}), 0) << err_;
  EXPECT_EQ(Json::parse(out_)["against"]["delta_logit_max"], 0);
  EXPECT_EQ(run(base + Words{"--against", kept, "--no-bos"}), 3);
  EXPECT_NE(err_.find("the begin-of-text token is 8176 in this file and -1 here"),
            std::string::npos)
      << err_;

  // A run with a fault is told apart.
  ASSERT_EQ(run(base + Words{"--against", kept}, {"GRETA_INJECT=rope_half_split"}), 0) << err_;
  EXPECT_GT(Json::parse(out_)["against"]["kl_mean"].get<double>(), 1e-3);

  // Other tokens, another cut: named, not compared.
  put(folder_ / "other", "Hola. " + text);
  EXPECT_EQ(run(base + small + Words{"--file", folder_ / "other", "--against", kept}), 3);
  EXPECT_NE(err_.find("kept.logits: token 1 of the text is "), std::string::npos) << err_;
  EXPECT_EQ(run(base + Words{"--context", "32", "--against", kept}), 3);
  EXPECT_NE(err_.find("the context is 64 in this file and 32 here"), std::string::npos) << err_;

  // A changed row is found when it is read; nothing is reported.
  std::string bytes = content(kept);
  bytes[bytes.size() - 20] = static_cast<char>(bytes[bytes.size() - 20] ^ 1);
  put(kept, bytes);
  EXPECT_EQ(run(base + Words{"--against", kept}), 3);
  EXPECT_NE(err_.find("the checksum of row 92 of 93 does not fit"), std::string::npos) << err_;
  EXPECT_EQ(out_, "");
}

TEST_F(Cli, AFullDiskLeavesNoFileOfLogits) {
  const fs::path kept = folder_ / "kept.logits";
  put(folder_ / "ids", "1 2 3 4 5 6 7 8 9 10");
  EXPECT_EQ(run({"perplexity", "--model", GRETA_TINY, "--tokens", folder_ / "ids", "--context", "8",
                 "--save-logits", kept},
                {}, {.file_bytes = 10000}),
            2);
  EXPECT_NE(err_.find("kept.logits: cannot write: File too large"), std::string::npos) << err_;
  EXPECT_FALSE(fs::exists(kept));
  EXPECT_FALSE(fs::exists(kept.string() + ".part"));
}

TEST_F(Cli, ProgressOnlyWhereItIsAskedFor) {
  std::string ids;
  for (int i = 0; i < 64; ++i) ids += "7 ";
  put(folder_ / "ids", ids);
  const Words base = {"perplexity", "--model",       GRETA_TINY,  "--backend", "ref",
                      "--tokens",   folder_ / "ids", "--context", "32"};
  ASSERT_EQ(run(base), 0);
  EXPECT_EQ(err_, "");
  ASSERT_EQ(run(base + Words{"--progress"}), 0);
  EXPECT_NE(err_.find("reading the model"), std::string::npos) << err_;
  EXPECT_NE(err_.find("scored 26 % of 2 windows"), std::string::npos) << err_;
  // Within a window, too.
  ASSERT_EQ(run(base + Words{"--progress", "--windows", "1"}), 0);
  EXPECT_NE(err_.find("scored 52 % of 1 window\n"), std::string::npos) << err_;
}

TEST_F(Cli, HelpIsThere) {
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_NE(out_.find("Examples"), std::string::npos);
  for (const char* command :
       {"run", "bench", "perplexity", "tokenize", "inspect", "describe", "synth"}) {
    EXPECT_NE(out_.find(command), std::string::npos);
    EXPECT_EQ(run({command, "--help"}), 0);
    EXPECT_NE(out_.find("Example"), std::string::npos) << command;
    EXPECT_NE(out_.find("\n  greta-infer " + std::string(command) + " "), std::string::npos)
        << command << " shows no example of itself";
    EXPECT_EQ(run({"--help"}), 0);
  }
  EXPECT_EQ(run({"--version"}), 0);
  EXPECT_TRUE(out_.starts_with("greta-infer "));
}

}  // namespace
}  // namespace greta::engine
