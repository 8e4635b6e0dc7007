#include "build/engine_build.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "build/source.h"
#include "container/image.h"
#include "contract/schema.h"
#include "store/store.h"
#include "system/environment.h"
#include "system/files.h"
#include "system/lock.h"

namespace greta::runner {
namespace fs = std::filesystem;
using Json = nlohmann::json;
namespace {

constexpr double kBuildTimeout_s = 3600, kDescribeTimeout_s = 60;
constexpr int64_t kBuildPids = 4096, kBuildTmpBytes = int64_t{2} << 30;

std::string how_it_ended(const Finished& finished) {
  if (finished.stop != Stop::none) return finished.reason;
  if (finished.signal != 0) return "signal " + std::to_string(finished.signal);
  return "exit " + std::to_string(finished.exit_code);
}

// What a build on this machine depends on besides the sources.
std::string host_tools(const Cancel& cancel) {
  std::string out;
  for (const char* tool : {"c++", "cmake", "ld"}) {
    const auto version = output_of({tool, "--version"}, cancel, 20);
    out += std::string(tool) + ": " + (version ? version->substr(0, version->find('\n')) : "none");
    out += '\n';
  }
  return out;
}

Result<std::string> checked_binary(const fs::path& binary, const Place& place) {
  std::error_code error;
  if (!fs::exists(binary, error)) {
    return fail_at(place, "engine.binary: no file " + binary.string());
  }
  if (!fs::is_regular_file(binary, error) || access(binary.c_str(), X_OK) != 0) {
    return fail_at(place,
                   "engine.binary: " + binary.string() + " is not an executable file (chmod +x?)");
  }
  return store::sha256_file(binary);
}

// A kept build: the program and build.json beside it.
struct Kept {
  fs::path binary;
  std::string sha256;
};

std::optional<Kept> kept_build(const fs::path& folder) {
  const auto text = read_file(folder / "build.json");
  if (!text) return std::nullopt;
  const Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object() || !json.contains("binary") || !json["binary"].is_string() ||
      !json.contains("sha256") || !json["sha256"].is_string()) {
    return std::nullopt;
  }
  Kept kept{.binary = folder / json["binary"].get<std::string>(),
            .sha256 = json["sha256"].get<std::string>()};
  const auto now = store::sha256_file(kept.binary);
  if (!now || *now != kept.sha256) return std::nullopt;  // damaged: built again
  return kept;
}

Job build_job(const Spec& spec, const Executor& executor, const fs::path& sources,
              const fs::path& log) {
  Job job;
  job.purpose = "build";
  job.argv = spec.engine.build;
  const std::string inside = place(executor, sources, "/greta/src", true, job);
  // A program of the sources is named relative to them.
  if (job.argv[0].find('/') != std::string::npos && job.argv[0][0] != '/') {
    job.argv[0] = inside + "/" + job.argv[0];
  }
  job.workdir = sources;
  job.stdout_file = log;
  job.merge_streams = true;
  job.timeout_s = kBuildTimeout_s;
  job.pids = kBuildPids;
  job.tmp_bytes = kBuildTmpBytes;
  return job;
}

// Moves a finished build into place.
Result<Kept> keep(const fs::path& finished, const fs::path& target) {
  TRY(sync_tree(finished));
  remove_tree(target);  // a damaged one
  std::error_code error;
  fs::rename(finished, target, error);
  if (error) return fail(Exit::infrastructure, "cannot keep the engine: " + error.message());
  const auto kept = kept_build(target);
  if (!kept)
    return fail(Exit::infrastructure, "the kept engine cannot be read: " + target.string());
  return *kept;
}

Result<Kept> build(const Spec& spec, const Executor& executor, const Source& source,
                   const std::string& key, const Layout& layout, Progress& progress,
                   const Cancel& cancel) {
  const fs::path log = layout.logs() / ("engine-" + key.substr(0, 16) + ".log");
  auto step = progress.begin("building engine");
  TRY_ASSIGN(const fs::path work, make_temporary(layout));
  struct Cleaner {
    fs::path folder;
    ~Cleaner() { remove_tree(folder); }
  } cleaner{work};
  const fs::path sources = work / "src";
  TRY(export_source(source, sources, cancel));
  TRY_ASSIGN(const Finished finished,
             run_job(executor, build_job(spec, executor, sources, log), cancel));
  if (finished.stop == Stop::cancelled) return fail(Exit::interrupted, "interrupted");
  if (!finished.ok()) {
    return fail(Exit::infrastructure, "the engine did not build (" + how_it_ended(finished) +
                                          ")\n" + log_tail(log) + "\nlog: " + log.string());
  }
  const fs::path artifact = sources / spec.engine.artifact;
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(artifact, error))) {
    return fail(Exit::infrastructure, "the build ended well but left no file " +
                                          spec.engine.artifact + " (engine.artifact)\n" +
                                          log_tail(log) + "\nlog: " + log.string());
  }
  const fs::path kept = work / "kept";
  TRY(make_folders(kept));
  const std::string name = artifact.filename().string();
  fs::copy_file(artifact, kept / name, error);
  if (!error) fs::permissions(kept / name, fs::perms(0755), error);
  if (error) return fail(Exit::infrastructure, "cannot keep the engine: " + error.message());
  TRY_ASSIGN(const std::string hash, store::sha256_file(kept / name));
  const Json json = {{"binary", name},
                     {"sha256", hash},
                     {"build_key", key},
                     {"argv", spec.engine.build},
                     {"commit", source.commit},
                     {"tree", source.tree},
                     {"executor", executor.version()},
                     {"seconds", finished.wall_s}};
  TRY(write_file(kept / "build.json", json.dump(2) + "\n"));
  TRY(write_file(kept / "sources.txt", source.listing));
  TRY_ASSIGN(Kept result, keep(kept, layout.engines() / key));
  step.done("built engine");
  return result;
}

// A build is a matter of its key alone: another store's build of the same key is as good. Copies
// are kept in the user's cache; without them only time is lost.
fs::path shared_build(const std::string& key) { return cache_folder() / "engines" / key; }

void share(const fs::path& from, const fs::path& to) {
  if (!make_folders(to.parent_path())) return;
  const fs::path part = to.string() + ".part" + std::to_string(getpid());
  std::error_code error;
  fs::copy(from, part, fs::copy_options::recursive, error);
  if (!error && kept_build(part)) {
    remove_tree(to);  // a damaged one
    fs::rename(part, to, error);
  }
  remove_tree(part);
}

Result<> build_or_reuse(const Spec& spec, const Executor& executor, const std::string& surroundings,
                        const Layout& layout, Engine& engine, Progress& progress,
                        const Cancel& cancel) {
  TRY_ASSIGN(const Source source, resolve_source(spec.engine, spec.root, layout, cancel));
  engine.facts["commit"] = source.commit;
  engine.facts["tree"] = source.tree;
  engine.facts["dirty"] = source.dirty ? "true" : "false";
  engine.facts["repo"] = spec.engine.repo;
  const Json key = {{"sources", source.tree},
                    {"argv", spec.engine.build},
                    {"artifact", spec.engine.artifact},
                    {"surroundings", surroundings}};
  engine.build_key = store::sha256_hex(key.dump());
  const fs::path folder = layout.engines() / engine.build_key;
  auto kept = kept_build(folder);
  if (!kept) {
    TRY_ASSIGN(const auto lock,
               FileLock::acquire(layout.locks() / ("build-" + engine.build_key), cancel, [&] {
                 progress.say("waiting for another greta that builds this engine");
               }));
    kept = kept_build(folder);  // the other one may have made it
    const fs::path shared = shared_build(engine.build_key);
    if (!kept && kept_build(shared)) {
      share(shared, folder);
      kept = kept_build(folder);
    }
    if (!kept) {
      TRY_ASSIGN(kept, build(spec, executor, source, engine.build_key, layout, progress, cancel));
      share(folder, shared);
    }
  }
  engine.binary = kept->binary;
  engine.binary_sha256 = kept->sha256;
  return {};
}

Result<std::string> ask_description(const Executor& executor, const Engine& engine,
                                    const Devices& devices, const Layout& layout,
                                    const Cancel& cancel) {
  TRY_ASSIGN(const fs::path folder, make_temporary(layout));
  struct Cleaner {
    fs::path folder;
    ~Cleaner() { remove_tree(folder); }
  } cleaner{folder};
  TRY(make_folders(folder / "work"));
  Job job;
  job.purpose = "describe";
  job.argv = {place(executor, engine.binary, engine_inside(engine.binary), false, job), "describe",
              "--json"};
  static_cast<void>(place(executor, folder / "work", "/greta/out", true, job));
  job.workdir = folder / "work";
  job.stdout_file = folder / "out";
  job.stderr_file = folder / "err";
  job.timeout_s = kDescribeTimeout_s;
  job.memory_bytes = int64_t{4} << 30;
  job.pids = 256;
  job.devices = devices;
  TRY_ASSIGN(const Finished finished, run_job(executor, job, cancel));
  if (finished.stop == Stop::cancelled) return fail(Exit::interrupted, "interrupted");
  if (!finished.ok()) {
    return fail(Exit::infrastructure, "`" + engine.binary.filename().string() +
                                          " describe --json` failed (" + how_it_ended(finished) +
                                          "): " + log_tail(folder / "err", 600));
  }
  TRY_ASSIGN(const std::string text, read_file(folder / "out"));
  if (!Json::parse(text, nullptr, false).is_object()) {
    return fail(Exit::infrastructure, "`" + engine.binary.filename().string() +
                                          " describe --json` printed no JSON object; an engine "
                                          "with another command line needs `engine.adapter`");
  }
  return text;
}

// Asked once for a binary, a place to run and a machine: backends depend on all three.
Result<> describe(const Executor& executor, const Machine& machine, const Devices& devices,
                  const Layout& layout, Engine& engine, const Cancel& cancel) {
  const std::string key =
      store::sha256_hex(engine.binary_sha256 + "|" + executor.version() + "|" + executor.image +
                        "|" + machine.cpu + "|" + machine.kernel + "|" + machine.amd_card + "|" +
                        std::to_string(static_cast<int>(devices.route)));
  const fs::path known = cache_folder() / "describe" / (key.substr(0, 32) + ".json");
  auto text = read_file(known);
  if (!text) {
    TRY_ASSIGN(text, ask_description(executor, engine, devices, layout, cancel));
    TRY(make_folders(known.parent_path()));
    TRY(write_file(known, *text));
  }
  engine.describe_json = *text;
  const Json json = Json::parse(engine.describe_json, nullptr, false);
  if (!json.is_object()) return {};
  const auto version = json.find("contract_version");
  const int understood = builtin_schema().version;
  if (version == json.end() || *version != understood) {
    return fail(Exit::usage, "`" + engine.binary.filename().string() +
                                 " describe --json` says `contract_version` " +
                                 (version == json.end() ? "nothing" : version->dump()) +
                                 "; this greta knows " + std::to_string(understood) +
                                 " (engine/ENGINE.md)");
  }
  engine.contract_version = understood;
  return {};
}

}  // namespace

std::string engine_inside(const fs::path& binary) {
  return "/greta/engine/" + binary.filename().string();
}

Result<Engine> ready_engine(const Spec& spec, Executor& executor, const Machine& machine,
                            const Layout& layout, Progress& progress, const Cancel& cancel) {
  Engine engine;
  std::string surroundings;
  if (executor.isolated()) {
    TRY_ASSIGN(const Image image,
               resolve_image(spec.engine, spec.root, executor, layout, progress, cancel));
    // The id, not the tag: between here and the last cell a tag may be given to another image.
    executor.image = image.id;
    surroundings = image.key();
    engine.facts["image"] = image.id;
    engine.facts["image.name"] = image.reference;
    engine.facts["image.recipe"] = image.recipe;
    if (!image.base.empty()) engine.facts["image.base"] = image.base;
    engine.facts["image.packages_sha256"] = image.packages_sha256;
  }
  if (spec.engine.binary) {
    engine.binary = *spec.engine.binary;
    TRY_ASSIGN(engine.binary_sha256, checked_binary(engine.binary, spec.engine.place));
    engine.build_key = store::sha256_hex("binary|" + engine.binary_sha256 + "|" + surroundings);
  } else {
    if (!executor.isolated()) surroundings = host_tools(cancel);
    TRY(build_or_reuse(spec, executor, surroundings, layout, engine, progress, cancel));
    if (!executor.isolated()) engine.facts["host_tools"] = surroundings;
  }
  engine.facts["build_key"] = engine.build_key;
  engine.facts["binary_sha256"] = engine.binary_sha256;
  if (spec.engine.adapter.file.empty()) {
    TRY_ASSIGN(const Devices devices, devices_for(spec.decode.backend, machine));
    TRY(describe(executor, machine, devices, layout, engine, cancel));
  }
  return engine;
}

}  // namespace greta::runner
