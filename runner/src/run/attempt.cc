#include "run/attempt.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>

#include "run/redact.h"
#include "spec/adapter.h"
#include "system/files.h"
#include "system/json.h"
#include "system/lock.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kLeastFreeBytes = int64_t{256} << 20;
constexpr double kWatchEvery_s = 0.3;

const char* const kRequests = "requests.jsonl";
const char* const kPromptFile = "prompt.txt";
const char* const kLock = "lock.json";
const char* const kWorktreeDiff = "worktree.diff";

int64_t bytes_below(const fs::path& folder) {
  int64_t total = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored) && !it->is_symlink(ignored)) {
      const auto size = it->file_size(ignored);
      if (!ignored) total += static_cast<int64_t>(size);
    }
  }
  return total;
}

// What an engine may write, to files and streams together, is limited, and the disk is never filled
// to the last byte.
class DiskWatch {
 public:
  DiskWatch(fs::path bundle, int64_t most_bytes)
      : bundle_(std::move(bundle)), most_bytes_(most_bytes) {}

  std::optional<std::string> operator()() {
    const auto now = std::chrono::steady_clock::now();
    if (std::chrono::duration<double>(now - asked_at_).count() < kWatchEvery_s) return std::nullopt;
    asked_at_ = now;
    if (auto reason = check_output()) return reason;
    return check_disk();
  }

  std::optional<std::string> check_output() const {
    int64_t bytes = bytes_below(bundle_ / "out");
    for (const char* log : {"stdout.log", "stderr.log"}) {
      std::error_code error;
      const auto size = fs::file_size(bundle_ / log, error);
      if (!error) bytes += static_cast<int64_t>(size);
    }
    if (bytes < most_bytes_) return std::nullopt;
    return "output limit: wrote " + human_bytes(static_cast<double>(most_bytes_)) + " or more";
  }

  std::optional<std::string> check_disk() const {
    if (free_bytes(bundle_) >= kLeastFreeBytes) return std::nullopt;
    return "disk full: less than " + human_bytes(static_cast<double>(kLeastFreeBytes)) +
           " left at " + bundle_.string();
  }

 private:
  fs::path bundle_;
  int64_t most_bytes_;
  std::chrono::steady_clock::time_point asked_at_;
};

std::string last_line(const fs::path& log) {
  std::string tail = log_tail(log, 400);
  return tail.substr(tail.rfind('\n') + 1);
}

class Runner {
 public:
  Runner(const AttemptSetting& setting, const std::vector<size_t>& cells, fs::path work)
      : s_(setting),
        cells_(cells),
        variant_(setting.plan.variants[setting.plan.cells[cells.at(0)].variant]),
        engine_(setting.engines.at(variant_.engine)),
        adapter_(setting.spec.engines.at(variant_.engine).adapter),
        executor_(engine_.on(setting.executor)),
        bundle_(std::move(work)) {}

  Result<Attempt> run(const std::function<void(const std::string&)>& say, const Cancel& cancel) {
    TRY(prepare());
    TRY_ASSIGN(Job job, make_job());
    job.again = [&](const std::string& why) -> Result<> {
      say("trying again: " + why);
      return empty_folder(bundle_ / "out");
    };
    DiskWatch watch(bundle_, s_.spec.limits.output_bytes);
    job.watch = [&watch] { return watch(); };
    const auto started = std::chrono::system_clock::now();
    auto finished = run_job(executor_, job, cancel);
    const auto ended = std::chrono::system_clock::now();
    manifest_.started_at = utc_time(started);
    manifest_.ended_at = utc_time(ended);
    if (!finished) return tl::unexpected(finished.error());
    if (finished->stop == Stop::lost) {
      return fail(Exit::infrastructure, finished->reason + ", " + std::to_string(finished->tries) +
                                            (finished->tries == 1 ? " try" : " tries"));
    }
    if (finished->stop == Stop::none) {
      // A limit that was hit between two looks. An engine may take a write that was cut short for a
      // success; what it left is not whole all the same.
      auto reason = watch.check_output();
      if (!reason && !finished->ok()) reason = watch.check_disk();
      if (reason) {
        finished->stop = Stop::watch;
        finished->reason = *reason;
      }
    }
    TRY_ASSIGN(redacted_, redact(bundle_, s_.secrets));
    TRY_ASSIGN(const Outputs outputs, inspect_outputs(bundle_, adapter_));
    judge(*finished, outputs);
    TRY(list_files(outputs));
    describe_surroundings(*finished);
    TRY_ASSIGN(const fs::path sealed, seal(bundle_, manifest_, s_.layout));
    return Attempt{.bundle = sealed, .manifest = std::move(manifest_)};
  }

 private:
  const Prompt& prompt(size_t cell) const { return s_.spec.prompts[s_.plan.cells[cell].prompt]; }
  bool contract_engine() const { return adapter_.name == "greta"; }

  bool stdout_has_records() const {
    const auto& outputs = adapter_.outputs;
    return std::any_of(outputs.begin(), outputs.end(),
                       [](const auto& rule) { return rule.glob == "stdout"; });
  }

  Result<> prepare() {
    TRY(make_folders(bundle_ / "out"));
    std::vector<const Prompt*> prompts;
    for (const size_t cell : cells_) prompts.push_back(&prompt(cell));
    TRY_ASSIGN(const std::string requests, requests_jsonl(prompts));
    TRY(write_file(bundle_ / kRequests, requests));
    TRY(write_file(bundle_ / "spec.yaml", s_.spec.text));
    TRY(write_file(bundle_ / kLock, s_.lock_json + "\n"));
    if (cells_.size() == 1 && prompts[0]->text) {
      TRY(write_file(bundle_ / kPromptFile, *prompts[0]->text));
    }
    if (!engine_.describe_json.empty()) {
      TRY(write_file(bundle_ / "describe.json", engine_.describe_json));
    }
    if (!engine_.worktree_diff.empty()) {
      TRY_ASSIGN(const std::string diff, read_file(engine_.worktree_diff));
      TRY(write_file(bundle_ / kWorktreeDiff, diff));
    }
    return {};
  }

  std::map<std::string, std::string> placeholders(Job& job) const {
    std::map<std::string, std::string> values;
    values["engine"] = engine_.placed(executor_, job);
    if (s_.spec.has_model) {
      const fs::path& model = s_.spec.model_file;
      values["model"] =
          place(executor_, model, "/greta/model/" + model.filename().string(), false, job);
    }
    values["requests"] =
        place(executor_, bundle_ / kRequests, "/greta/in/requests.jsonl", false, job);
    values["out"] = place(executor_, bundle_ / "out", "/greta/out", true, job);
    const DecodeSettings& decode = variant_.decode;
    values["threads"] = std::to_string(decode.threads);
    values["backend"] = decode.backend;
    values["numerics"] = decode.numerics;
    values["kv_type"] = decode.kv_type;
    values["max_tokens"] = std::to_string(decode.max_tokens);
    if (cells_.size() == 1) {
      const Prompt& one = prompt(cells_[0]);
      values["prompt_id"] = one.id;
      if (one.text) {
        values["prompt"] = *one.text;
        values["prompt_file"] =
            place(executor_, bundle_ / kPromptFile, "/greta/in/prompt.txt", false, job);
      }
    }
    for (const auto& [name, value] : variant_.flags) values["flags." + name] = value;
    return values;
  }

  Result<Job> make_job() {
    Job job;
    job.purpose = "run";
    const auto values = placeholders(job);
    TRY_ASSIGN(job.argv, fill_argv(adapter_, values));
    for (const auto& [name, text] : adapter_.env) {
      TRY_ASSIGN(job.environment[name], fill_template(text, values));
    }
    for (const auto& [name, value] : s_.spec.env) job.environment[name] = value;
    for (const auto& [name, value] : variant_.flags) job.environment[name] = value;
    job.secrets = s_.secrets;
    job.workdir = bundle_ / "out";
    job.stdout_file = bundle_ / "stdout.log";
    job.stderr_file = bundle_ / "stderr.log";
    job.timeout_s = s_.spec.limits.timeout_s;
    job.memory_bytes = s_.spec.limits.memory_bytes;
    job.pids = s_.spec.limits.pids;
    job.file_bytes = s_.spec.limits.output_bytes;
    // Of a stream that holds records nothing may be dropped; a byte over the limit is seen.
    if (stdout_has_records()) job.log_bytes = s_.spec.limits.output_bytes + 1;
    job.no_sockets = true;
    TRY_ASSIGN(job.devices, devices_for(variant_.decode.backend, s_.machine));
    manifest_.argv = job.argv;
    return job;
  }

  // The attempt's status and its one-line reason.
  void judge_process(const Finished& finished) {
    manifest_.wall_s = finished.wall_s;
    if (finished.signal == 0) manifest_.exit_code = finished.exit_code;
    if (finished.signal != 0) manifest_.signal = finished.signal;
    manifest_.status = "ok";
    if (finished.ok()) return;
    const std::string said = last_line(bundle_ / "stderr.log");
    const std::string tail = (said.empty() ? "" : ": " + said) + sandbox_rule();
    if (finished.stop != Stop::none) {
      manifest_.status = finished.stop == Stop::timeout ? "timeout" : "killed";
      manifest_.reason = finished.reason;
    } else if (finished.signal == SIGXFSZ) {
      manifest_.status = "killed";
      manifest_.reason = "output limit: a file of " +
                         human_bytes(static_cast<double>(s_.spec.limits.output_bytes));
    } else if (finished.signal == SIGKILL) {
      manifest_.status = "killed";
      manifest_.reason =
          "killed by signal 9" +
          std::string(s_.executor.isolated() ? ", by no limit of its sandbox"
                                             : " (for lack of memory? see the kernel's log)") +
          tail;
    } else if (finished.signal != 0) {
      manifest_.status = "failed";
      manifest_.reason = "crashed with signal " + std::to_string(finished.signal) + " (" +
                         strsignal(finished.signal) + ")" + tail;
    } else {
      manifest_.status = "failed";
      manifest_.reason = "exit " + std::to_string(finished.exit_code) + tail;
    }
  }

  // The rule of the sandbox behind an engine's complaint: the kernel refuses, and an engine may go
  // on without what it was refused.
  std::string sandbox_rule() const {
    const std::string said = log_tail(bundle_ / "stderr.log");
    const bool refused = s_.executor.isolated() && said.find("Read-only file system") != said.npos;
    return refused ? " (sandbox: only /greta/out and /tmp can be written)" : "";
  }

  // Nothing, or why a cell of an engine that keeps the contract is not complete.
  std::string missing_for(const Outputs& outputs, const std::string& request) const {
    if (!outputs.has_effective) return "the engine left no effective.json: what it used is unknown";
    if (!outputs.ended_requests.contains(request)) {
      return "no request_end record: the engine stopped before this prompt was complete";
    }
    return {};
  }

  void judge(const Finished& finished, const Outputs& outputs) {
    judge_process(finished);
    const bool process_ok = manifest_.status == "ok";
    if (process_ok && !outputs.problems.empty()) {
      manifest_.status = "failed";
      manifest_.reason = outputs.problems[0];
    }
    const bool whole = outputs.problems.empty() || (!process_ok && outputs.only_torn_tails);
    for (const size_t index : cells_) {
      const Cell& cell = s_.plan.cells[index];
      BundleCell out{.identity = cell.identity,
                     .prompt = prompt(index).id,
                     .request = prompt(index).id,
                     .status = "ok",
                     .reason = {}};
      const std::string missing =
          contract_engine() ? missing_for(outputs, out.request) : std::string();
      if (!whole || (!contract_engine() && !process_ok)) {
        out.status = manifest_.status;
        out.reason = manifest_.reason;
      } else if (!missing.empty()) {
        out.status = process_ok ? "failed" : manifest_.status;
        out.reason = process_ok ? missing : manifest_.reason;
        if (manifest_.status == "ok") {
          manifest_.status = "failed";
          manifest_.reason = missing;
        }
      }
      manifest_.cells.push_back(std::move(out));
    }
  }

  Result<> list_files(const Outputs& outputs) {
    manifest_.files = outputs.files;
    const auto listed = [&](const std::string& name) {
      return std::any_of(manifest_.files.begin(), manifest_.files.end(),
                         [&](const BundleFile& file) { return file.name == name; });
    };
    for (const auto& [name, role] : {std::pair<const char*, const char*>{"stdout.log", "log"},
                                     {"stderr.log", "log"},
                                     {kRequests, "requests"},
                                     {kPromptFile, "requests"},
                                     {"spec.yaml", "spec"},
                                     {"describe.json", "describe"},
                                     {kLock, "lock"},
                                     {kWorktreeDiff, "diff"}}) {
      if (listed(name) || !fs::exists(bundle_ / name)) continue;
      TRY_ASSIGN(BundleFile file, describe_file(bundle_, name, role));
      manifest_.files.push_back(std::move(file));
    }
    return {};
  }

  void describe_surroundings(const Finished& finished) {
    const Cell& first = s_.plan.cells[cells_[0]];
    manifest_.provenance = provenance_of(variant_.flags);
    manifest_.contract_version = engine_.contract_version;
    manifest_.milestone = s_.spec.milestone;
    manifest_.executor = to_string(executor_.kind);
    manifest_.variant = variant_.name;
    manifest_.variant_axes = variant_.axes;
    manifest_.repeat = first.repeat;
    manifest_.flags = variant_.flags;
    for (const size_t cell : cells_) {
      const Prompt& one = prompt(cell);
      manifest_.prompts.push_back({.id = one.id, .sha256 = one.sha256, .text = one.text});
    }
    auto& env = manifest_.environment;
    env = engine_.facts;
    env["executor"] = executor_.version();
    env["kernel"] = s_.machine.kernel;
    env["device"] = s_.inputs.device;
    env["isa"] = s_.inputs.engines[variant_.engine].isa;
    env["cpu"] = s_.machine.cpu;
    env["cpus"] = std::to_string(s_.machine.cpus);
    env["memory_bytes"] = std::to_string(s_.machine.memory_bytes);
    if (!s_.machine.amd_driver.empty()) env["driver.amdgpu"] = s_.machine.amd_driver;
    if (!s_.machine.nvidia_driver.empty()) env["driver.nvidia"] = s_.machine.nvidia_driver;
    env.insert(s_.machine.gpu_facts.begin(), s_.machine.gpu_facts.end());
    // "auto" is no backend: which one ran is in effective.json, and arrives as `backend`.
    env["backend.asked"] = variant_.decode.backend;
    if (variant_.decode.backend != "auto") env["backend"] = variant_.decode.backend;
    env["numerics"] = variant_.decode.numerics;
    env["kv_type"] = variant_.decode.kv_type;
    env["max_tokens"] = std::to_string(variant_.decode.max_tokens);
    env["threads"] = std::to_string(variant_.decode.threads);
    const std::string& engine = s_.spec.engines[variant_.engine].name;
    if (!engine.empty()) env["engine"] = engine;
    env["adapter"] = adapter_.name;
    env["adapter.sha256"] = adapter_.sha256;
    if (s_.spec.has_model) {
      env["model.file"] = s_.spec.model_file.filename().string();
      env["model.sha256"] = s_.inputs.model_sha256;
    }
    for (const auto& [name, value] : s_.spec.env) env["env." + name] = value;
    if (redacted_ > 0) env["secrets.redacted"] = std::to_string(redacted_);
    if (finished.logs_cut) env["logs_cut"] = "true";
    if (finished.tries > 1) env["attempt.tries"] = std::to_string(finished.tries);
  }

  const AttemptSetting& s_;
  const std::vector<size_t>& cells_;
  const Variant& variant_;
  const Engine& engine_;
  const Adapter& adapter_;
  const Executor executor_;
  fs::path bundle_;
  Manifest manifest_;
  int64_t redacted_ = 0;  // places where the engine had written a secret
};

}  // namespace

std::string provenance_of(const std::map<std::string, std::string>& flags) {
  const auto inject = flags.find("GRETA_INJECT");
  return inject != flags.end() && !inject->second.empty() ? "reenacted" : "executed";
}

Result<std::string> requests_jsonl(const std::vector<const Prompt*>& prompts) {
  std::string out;
  for (const Prompt* prompt : prompts) {
    Json json;
    json["id"] = prompt->id;
    if (prompt->tokens) {
      json["tokens"] = *prompt->tokens;
    } else {
      json["text"] = prompt->text.value_or("");
    }
    const std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (Json::parse(line, nullptr, false) != json) {
      return tl::unexpected<Error>(
          Error{.message = "prompt `" + prompt->id + "` is no UTF-8: give its token ids instead",
                .file = prompt->place.file,
                .line = prompt->place.line,
                .column = prompt->place.column});
    }
    out += line + "\n";
  }
  return out;
}

Result<Attempt> run_attempt(const AttemptSetting& setting, const std::vector<size_t>& cells,
                            const std::function<void(const std::string&)>& say,
                            const Cancel& cancel) {
  const Variant& variant = setting.plan.variants[setting.plan.cells[cells.at(0)].variant];
  std::optional<FileLock> gpu;
  if (may_use_gpu(variant.decode.backend, setting.machine, setting.executor.isolated())) {
    TRY_ASSIGN(gpu, FileLock::acquire_shared(setting.machine.device_lock, cancel, [&] {
                 say("waiting for another greta that uses the GPU");
               }));
  }
  TRY_ASSIGN(const fs::path work, make_temporary(setting.layout));
  const fs::path bundle = work / "bundle";
  auto attempt = [&]() -> Result<Attempt> {
    TRY(make_folders(bundle));
    return Runner(setting, cells, bundle).run(say, cancel);
  }();
  remove_tree(work);  // what is worth keeping has been renamed away
  return attempt;
}

}  // namespace greta::runner
