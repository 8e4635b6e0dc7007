#include "conform/subject.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "contract/text.h"
#include "spec/adapter.h"
#include "spec/spec_root.h"
#include "system/files.h"
#include "system/json.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMemoryBytes = int64_t{8} << 30, kOutputBytes = int64_t{64} << 20;
constexpr int64_t kPids = 256;
constexpr const char* kModel = "model.gguf";

// Short and long, other scripts, every byte that JSON must escape, ids instead of a text. The last
// one stands behind all others, and is asked alone as well.
Json requests() {
  return {{{"id", "hello"}, {"text", "The capital of Argentina is"}},
          {{"id", "short"}, {"text", "H"}},
          {{"id", "scripts"}, {"text", "¿Qué? – ñandú 日本語 🙂"}},
          {{"id", "lines"}, {"text", "one\ntwo\n\n\t\"quoted\" \\ {back}"}},
          {{"id", "tokens"}, {"tokens", {1, 2, 3}}},
          {{"id", "after"}, {"text", "The capital of Argentina is"}}};
}

fs::path absolute_if_there(const std::string& name) {
  std::error_code error;
  return !name.empty() && fs::exists(name, error) ? fs::absolute(name, error) : fs::path(name);
}

void note(const fs::path& path, bool is_deep, Snapshot& into) {
  struct stat state {};
  if (lstat(path.c_str(), &state) != 0) return;
  std::string what = "folder";  // its time changes with every file of it, and those are noted
  if (!S_ISDIR(state.st_mode)) {
    what = std::to_string(state.st_size) + " bytes, " + std::to_string(state.st_mtim.tv_sec) + "." +
           std::to_string(state.st_mtim.tv_nsec);
  }
  into[path.string()] = what;
  if (!is_deep || !S_ISDIR(state.st_mode)) return;
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    note(it->path(), true, into);
  }
}

}  // namespace

Result<Subject> Subject::open(const ConformOptions& options, Progress& progress,
                              const Cancel& cancel) {
  Subject subject(options, cancel);
  TRY(subject.prepare(progress));
  return subject;
}

Subject::~Subject() {
  if (!scratch_.empty() && !keep_) remove_tree(scratch_);
}

Result<> Subject::prepare(Progress& progress) {
  std::error_code error;
  keep_ = !options_.keep.empty();
  if (keep_) {
    scratch_ = fs::absolute(options_.keep, error);
    if (fs::exists(scratch_, error) && !fs::is_empty(scratch_, error)) {
      return fail(Exit::usage, "--keep: " + scratch_.string() + " is not empty");
    }
    TRY(make_folders(scratch_));
  } else {
    std::string pattern = (fs::temp_directory_path() / "greta-conform-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
      return fail(Exit::infrastructure, "cannot make a folder like " + pattern);
    }
    scratch_ = pattern;
  }
  // Containers run as nobody, and must reach what they are given.
  fs::permissions(scratch_, fs::perms(0755), error);
  for (const char* folder : {"home", "tmp"}) TRY(make_folders(scratch_ / folder));

  TRY_ASSIGN(const fs::path file, write_spec());
  auto spec = load_spec(file);
  if (!spec) {  // it is about the command line, not about a place in a file that nobody wrote
    return fail(static_cast<Exit>(spec.error().exit_code), spec.error().message);
  }
  spec_ = std::move(*spec);
  spec_.limits.timeout_s = options_.timeout_s;
  spec_.limits.output_bytes = kOutputBytes;
  const bool contained =
      !options_.executor.empty() || !options_.image.empty() || !spec_.engines[0].program.empty();
  TRY_ASSIGN(executor_, choose_executor(contained ? options_.executor : "host", *cancel_));
  if (!executor_.isolated()) {
    spec_.env["HOME"] = (scratch_ / "home").string();
    spec_.env["TMPDIR"] = (scratch_ / "tmp").string();
  }
  machine_ = inspect_machine();
  TRY_ASSIGN(layout_, make_layout(scratch_ / "store.sqlite"));
  executor_.label = layout_.label;
  // Its description is a matter of the checks: an engine without one is none that cannot be run.
  EngineSpec undescribed = spec_.engines[0];
  undescribed.adapter.name = "conform";
  TRY_ASSIGN(Engine engine,
             ready_engine(spec_, undescribed, executor_, machine_, layout_, progress, *cancel_));
  executor_ = engine.on(executor_);
  engines_.push_back(std::move(engine));
  return {};
}

std::string Subject::name() const {
  const auto& binary = spec_.engines[0].binary;
  return binary ? binary->filename().string() : engines_[0].shown();
}

// JSON is YAML: the engine, its adapter and its flags are looked up and checked as in an
// experiment.
Result<fs::path> Subject::write_spec() const {
  Json engine = Json::object();
  std::error_code error;
  const bool here = options_.engine.find('/') != std::string::npos
                        ? fs::exists(options_.engine, error)
                        : !find_program(options_.engine).empty();
  // With an image, what is not on this machine is one of its programs. Without a name the adapter
  // has it.
  const bool of_image = !options_.image.empty() && !here;
  if (!options_.engine.empty() && !here && !of_image) {
    return fail(Exit::usage, "no program `" + printable(options_.engine, 200) +
                                 "`: ENGINE is a path or a name on the PATH (with --image also a "
                                 "program of the image)");
  }
  if (!options_.engine.empty()) {
    engine[of_image ? "program" : "binary"] = absolute_if_there(options_.engine).string();
  }
  if (!options_.image.empty()) engine["image"] = absolute_if_there(options_.image).string();
  if (!options_.adapter.empty()) engine["adapter"] = absolute_if_there(options_.adapter).string();
  TRY_ASSIGN(const fs::path model_file, model());
  Json spec = {{"schema", 1},
               {"milestone", "conform"},
               {"engine", engine},
               {"model", {{"file", model_file.string()}}},
               {"decode", {{"max_tokens", 2}}},
               {"prompts", requests()}};
  if (!options_.flags.empty()) spec["flags"] = options_.flags;
  const fs::path file = scratch_ / "conform.yaml";
  TRY(write_file(file, spec.dump(2) + "\n"));
  return file;
}

Result<fs::path> Subject::model() const {
  std::error_code error;
  if (!options_.model.empty()) {
    if (!fs::is_regular_file(options_.model, error)) {
      return fail(Exit::usage, "--model: no file " + options_.model);
    }
    return fs::absolute(options_.model, error);
  }
  for (const fs::path& start :
       {fs::current_path(error), fs::read_symlink("/proc/self/exe", error).parent_path()}) {
    const fs::path tree = find_greta_tree(start);
    const fs::path tiny = tree / "experiments/models/greta-tiny.gguf";
    if (!tree.empty() && fs::is_regular_file(tiny, error)) return tiny;
  }
  // For engines that read none.
  TRY(write_file(scratch_ / kModel, "no model\n"));
  return scratch_ / kModel;
}

const Prompt& Subject::prompt(const std::string& id) const {
  return *std::find_if(spec_.prompts.begin(), spec_.prompts.end(),
                       [&](const Prompt& one) { return one.id == id; });
}

Result<std::vector<Attempt>> Subject::attempt() {
  Spec spec = spec_;
  if (one_by_one() && (mentions(adapter(), "prompt") || mentions(adapter(), "prompt_file"))) {
    std::erase_if(spec.prompts, [](const Prompt& one) { return !one.text; });
  }
  ResolvedInputs inputs;
  inputs.engines = {{.build_key = engines_[0].build_key, .isa = machine_.isa}};
  inputs.device = machine_.cpu;
  TRY_ASSIGN(const Plan plan, make_plan(spec, inputs));
  const AttemptSetting setting{.spec = spec,
                               .plan = plan,
                               .engines = engines_,
                               .executor = executor_,
                               .machine = machine_,
                               .layout = layout_,
                               .inputs = inputs,
                               .lock_json = {}};
  std::vector<std::vector<size_t>> groups = plan.attempts;
  if (one_by_one()) {
    groups.clear();
    for (size_t cell = 0; cell < plan.cells.size(); ++cell) groups.push_back({cell});
  }
  std::vector<Attempt> out;
  for (const auto& cells : groups) {
    TRY_ASSIGN(Attempt attempt, run_attempt(
                                    setting, cells, [](const std::string&) {}, *cancel_));
    if (cancel_->requested()) return fail(Exit::interrupted, "interrupted");
    out.push_back(std::move(attempt));
  }
  return out;
}

Result<fs::path> Subject::next_folder() {
  fs::path folder = scratch_ / ("call" + std::to_string(++calls_));
  TRY(make_folders(folder / "out"));
  return folder;
}

Job Subject::job_in(const fs::path& folder) const {
  Job job;
  job.purpose = "conform";
  job.environment = spec_.env;
  for (const auto& [name, value] : spec_.flags) job.environment[name] = value;
  job.workdir = folder / "out";
  job.stdout_file = folder / "stdout.log";
  job.stderr_file = folder / "stderr.log";
  job.timeout_s = spec_.limits.timeout_s;
  job.memory_bytes = kMemoryBytes;
  job.pids = kPids;
  job.file_bytes = kOutputBytes;
  return job;
}

Result<Answer> Subject::run(const Job& job, const fs::path& folder) {
  TRY_ASSIGN(Finished finished, run_job(executor_, job, *cancel_));
  if (cancel_->requested()) return fail(Exit::interrupted, "interrupted");
  Answer answer{std::move(finished), folder, {}};
  answer.said = log_tail(folder / "stderr.log", 400);
  return answer;
}

Result<Answer> Subject::describe() {
  TRY_ASSIGN(const fs::path folder, next_folder());
  Job job = job_in(folder);
  job.argv = {engines_[0].placed(executor_, job), "describe", "--json"};
  static_cast<void>(place(executor_, folder / "out", "/greta/out", true, job));
  return run(job, folder);
}

Result<Answer> Subject::call(const Call& call) {
  TRY_ASSIGN(const fs::path folder, next_folder());
  std::vector<const Prompt*> prompts;
  for (const std::string& id : call.prompts) prompts.push_back(&prompt(id));
  TRY_ASSIGN(const std::string asked, requests_jsonl(prompts));
  TRY(write_file(folder / "requests.jsonl", call.requests.value_or(asked)));
  if (call.out == Call::Out::not_empty) TRY(write_file(folder / "out/kept.txt", "mine\n"));
  if (call.out == Call::Out::below_a_file) TRY(write_file(folder / "out/file", "a file\n"));

  Job job = job_in(folder);
  std::map<std::string, std::string> values;
  values["engine"] = engines_[0].placed(executor_, job);
  const fs::path& model = spec_.model_file;
  values["model"] =
      place(executor_, model, "/greta/model/" + model.filename().string(), false, job);
  if (call.model_missing) values["model"] = values["model"] + ".missing";
  values["requests"] =
      place(executor_, folder / "requests.jsonl", "/greta/in/requests.jsonl", false, job);
  values["out"] = place(executor_, folder / "out", "/greta/out", true, job);
  if (call.out == Call::Out::below_a_file) values["out"] += "/file/below";
  values["max_tokens"] = std::to_string(call.max_tokens);
  values["threads"] = std::to_string(spec_.decode.threads);
  values["backend"] = spec_.decode.backend;
  values["numerics"] = spec_.decode.numerics;
  values["kv_type"] = spec_.decode.kv_type;
  if (one_by_one() && !prompts.empty() && prompts[0]->text) {
    TRY(write_file(folder / "prompt.txt", *prompts[0]->text));
    values["prompt"] = *prompts[0]->text;
    values["prompt_id"] = prompts[0]->id;
    values["prompt_file"] =
        place(executor_, folder / "prompt.txt", "/greta/in/prompt.txt", false, job);
  }
  for (const auto& [name, value] : spec_.flags) values["flags." + name] = value;
  TRY_ASSIGN(job.argv, fill_argv(adapter(), values));
  for (const auto& [name, text] : adapter().env) {
    TRY_ASSIGN(job.environment[name], fill_template(text, values));
  }
  job.argv.insert(job.argv.end(), call.arguments.begin(), call.arguments.end());
  for (const auto& [name, value] : call.flags) job.environment[name] = value;
  if (call.timeout_s > 0) job.timeout_s = call.timeout_s;
  if (call.stop) {
    job.watch = [&]() -> std::optional<std::string> {
      if (call.stop(folder / "out")) return "stopped by SIGTERM";
      return std::nullopt;
    };
  }
  return run(job, folder);
}

Snapshot Subject::surroundings() const {
  Snapshot out;
  note(scratch_ / "home", true, out);
  std::error_code error;
  const fs::path program = spec_.engines[0].binary.value_or(engines_[0].binary);
  for (const fs::path& folder : {fs::path("/"), program.parent_path(), scratch_}) {
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
      note(it->path(), false, out);
    }
  }
  // What these checks make themselves, one a process.
  std::erase_if(out, [&](const auto& entry) {
    return entry.first.starts_with((scratch_ / "call").string());
  });
  note(spec_.model_file, false, out);
  return out;
}

}  // namespace greta::runner
