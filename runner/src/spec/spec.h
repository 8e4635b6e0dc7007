#pragma once
// The experiment file, read and checked. Errors carry file, line, column and the nearest valid key.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "contract/result.h"
#include "store/gates.h"

namespace greta::runner {

struct Place {  // where a value stood, for later messages
  std::string file;
  int line = 0, column = 0;
};
inline tl::unexpected<Error> fail_at(const Place& place, std::string message,
                                     Exit code = Exit::usage) {
  return tl::unexpected<Error>(Error{.message = std::move(message),
                                     .file = place.file,
                                     .line = place.line,
                                     .column = place.column,
                                     .exit_code = static_cast<int>(code)});
}

struct Prompt {
  std::string id;
  std::optional<std::string> text;             // exactly these bytes; or …
  std::optional<std::vector<int64_t>> tokens;  // … these ids
  std::string sha256;                          // of the text, or of the ids as JSON
  Place place;
};

// How to talk to an engine. `greta` is the built-in one: the contract of design.md §5.
struct Adapter {
  std::string name = "greta";
  std::filesystem::path file;     // "" for the built-in
  std::vector<std::string> argv;  // template: {engine} {model} {requests} {out} {threads} …
  std::map<std::string, std::string> env;
  struct OutputRule {
    std::string glob;       // "*.jsonl" below the output folder, or "stdout"
    std::string kind;       // record kind for lines that carry no `event`; "" keeps theirs
    bool optional = false;  // an attempt that leaves no such file is complete all the same
  };
  std::vector<OutputRule> outputs;
  std::map<std::string, std::vector<std::string>>
      flags;                          // static flag table: name → choices (empty: any)
  bool any_flags = false;             // the adapter passes any flag
  std::string request_mode = "file";  // file: {requests} serves many; one: a process a prompt
  std::string image, program;         // of engines that name neither: see EngineSpec
  std::string json;                   // the adapter itself, in canonical form, and …
  std::string sha256;                 // … its hash: part of the identity
};

struct EngineSpec {
  std::string name;        // its value of the axis `engine`; "" where there is one engine
  std::string repo = ".";  // path or git URL
  std::string commit = "worktree";
  std::string image = "docker/rocm";  // folder with a Dockerfile, or name@sha256:…
  std::string
      base;  // what the folder's image starts from: for its program `base`; "" its own choice
  std::vector<std::string> build = {"ci/build-engine", "engine"};
  std::string artifact = "build/engine/bin/greta-infer";
  std::optional<std::filesystem::path> binary;  // a ready program: nothing is built
  // A program of the image (of this machine on `host`), by path or name: nothing is built either.
  std::string program;
  Adapter adapter;
  std::map<std::string, std::string> flags;  // of this engine alone
  Place place;
};

struct DecodeSettings {
  int64_t max_tokens = 1;
  std::string backend = "auto", numerics = "strict", kv_type = "f32";
  int64_t threads = 2;
};

struct Limits {
  double timeout_s = 600;
  int64_t memory_bytes = int64_t{8} << 30;
  int64_t pids = 256;
  int64_t output_bytes = int64_t{4} << 30;  // what an attempt may write in all
};

enum class Isolation { process, request };

struct Spec {
  std::filesystem::path file;  // absolute
  std::filesystem::path root;  // the folder that relative engine paths start from
  std::string text;            // as read, extends not merged
  std::string flat;            // the same in one file that needs no other: see flat_spec.h
  std::string milestone;
  std::string title_json = "{}", prose_json = "{}";
  std::vector<std::string> baseline;
  std::vector<EngineSpec> engines;   // one, or the values of the axis `engine` in their order
  std::filesystem::path model_file;  // resolved, or as written where it does not exist
  std::string model_sha256;          // "" when the spec pins none
  Place model_place;
  bool has_model = false;
  std::vector<std::filesystem::path> model_tried;  // every place looked at, in order
  std::vector<Prompt> prompts;
  DecodeSettings decode;
  Isolation isolation = Isolation::process;
  std::map<std::string, std::string> flags;  // GRETA_* for every variant
  std::map<std::string, Place> flag_places;
  std::map<std::string, std::string> env;  // declared environment of the engine, not flags
  // Names of environment variables whose values reach the engine and are kept nowhere.
  std::vector<std::string> secrets;
  std::vector<std::pair<std::string, std::vector<std::string>>> matrix;  // axes in file order
  std::vector<std::map<std::string, std::string>> include, exclude;
  int64_t repeat = 1;
  Limits limits;
  std::vector<store::Gate> expect;
  std::vector<std::string> warnings;  // "file:line:col: …", in file order
  // Where the rest stood, by path: "milestone", "matrix.GRETA_X", "matrix.GRETA_X[1]" (its second
  // value), "include[0]", "exclude[0]", "expect.ID", "decode.backend", "engine.image", …
  std::map<std::string, Place> places;
};

struct LoadOptions {
  std::map<std::string, std::string> vars = {};  // --var NAME=VALUE: override what `vars:` declares
  // Where to look for a greta source tree when the spec does not stand in one: the current folder
  // and the running program, unless a test says otherwise.
  std::filesystem::path working_folder = {}, program = {};
  // Read instead of the file, which only says where paths start: what an earlier run kept.
  std::optional<std::string> text = {};
};

// Reads the spec with everything it extends, and resolves prompts (prompts.yaml beside the spec,
// else in the repository's experiments/), adapter file and model path. Does not touch the engine.
// Of several mistakes all are reported (up to 20): the Error has the place of the first, its
// message a further line for each other one.
Result<Spec> load_spec(const std::filesystem::path& file, const LoadOptions& options = {});

}  // namespace greta::runner
