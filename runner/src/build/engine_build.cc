#include "build/engine_build.h"

#include <unistd.h>

#include "build/describe.h"
#include "build/kept_engine.h"
#include "build/source.h"
#include "container/image.h"
#include "store/store.h"
#include "system/files.h"
#include "system/json.h"
#include "system/lock.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr double kBuildTimeout_s = 3600;
constexpr int64_t kBuildPids = 4096, kBuildTmpBytes = int64_t{2} << 30;

// What a build on this machine depends on besides the sources, a line a tool:
// "c++: g++ (Debian 12.2.0-14) 12.2.0".
std::string host_tools(const Cancel& cancel) {
  std::string out;
  for (const char* tool : {"c++", "cmake", "ld", "hipcc", "nvcc"}) {
    const auto version = output_of({tool, "--version"}, cancel, 20);
    out += std::string(tool) + ": " + (version ? version->substr(0, version->find('\n')) : "none");
    out += '\n';
  }
  return out;
}

// The line of a tool as a fact of its own.
void add_host_tool(const std::string& tools, const std::string& tool, const char* fact,
                   Engine& engine) {
  const size_t at = tools.find(tool + ": ");
  if (at == std::string::npos) return;
  const size_t begin = at + tool.size() + 2;
  const std::string version = tools.substr(begin, tools.find('\n', begin) - begin);
  if (version != "none") engine.facts[fact] = version;
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

Job build_job(const EngineSpec& spec, const Executor& executor, const fs::path& sources,
              const fs::path& log) {
  Job job;
  job.purpose = "build";
  job.argv = spec.build;
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

// Builds the sources and leaves what is to be kept in `kept`.
Result<std::string> build(const EngineSpec& spec, const Executor& executor, const Source& source,
                          const std::string& key, const fs::path& work, const Layout& layout,
                          Progress& progress, const Cancel& cancel) {
  const fs::path log = layout.logs() / ("engine-" + key.substr(0, 16) + ".log");
  auto step = progress.begin("building engine");
  const fs::path sources = work / "src", kept = work / "kept";
  TRY(make_folders(kept));
  TRY(export_source(source, sources, cancel));
  TRY(keep_source(source, sources, kept, cancel));
  TRY_ASSIGN(const Finished finished,
             run_job(executor, build_job(spec, executor, sources, log), cancel));
  if (finished.stop == Stop::cancelled) return fail(Exit::interrupted, "interrupted");
  if (!finished.ok()) {
    return fail(Exit::infrastructure, "the engine did not build (" + how_it_ended(finished) +
                                          ")\n" + log_tail(log) + "\nlog: " + log.string());
  }
  const fs::path artifact = sources / spec.artifact;
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(artifact, error))) {
    return fail(Exit::infrastructure, "the build ended well but left no file " + spec.artifact +
                                          " (engine.artifact)\n" + log_tail(log) +
                                          "\nlog: " + log.string());
  }
  const std::string name = artifact.filename().string();
  fs::copy_file(artifact, kept / name, error);
  if (!error) fs::permissions(kept / name, fs::perms(0755), error);
  if (error) return fail(Exit::infrastructure, "cannot keep the engine: " + error.message());
  TRY_ASSIGN(const std::string hash, store::sha256_file(kept / name));
  const SortedJson json = {{"binary", name},
                           {"sha256", hash},
                           {"build_key", key},
                           {"argv", spec.build},
                           {"commit", source.commit},
                           {"tree", source.tree},
                           {"executor", executor.version()},
                           {"seconds", finished.wall_s}};
  TRY(write_file(kept / "build.json", json.dump(2) + "\n"));
  step.done("built engine");
  return hash;
}

// What every step of making one engine ready needs.
struct Making {
  const Spec& spec;
  const EngineSpec& engine;
  const Executor& executor;
  const Layout& layout;
  Progress& progress;
  const Cancel& cancel;
  const EnginePin* pin;
};

std::string key_of(const EngineSpec& engine, const std::string& tree,
                   const std::string& surroundings) {
  const SortedJson key = {{"sources", tree},
                          {"argv", engine.build},
                          {"artifact", engine.artifact},
                          {"surroundings", surroundings}};
  return store::sha256_hex(key.dump());
}

Result<KeptEngine> build_and_keep(const Making& m, const Source& source, const std::string& key) {
  TRY_ASSIGN(const fs::path work, make_temporary(m.layout));
  struct Cleaner {
    fs::path folder;
    ~Cleaner() { remove_tree(folder); }
  } cleaner{work};
  TRY_ASSIGN(const std::string hash,
             build(m.engine, m.executor, source, key, work, m.layout, m.progress, m.cancel));
  if (const auto before = find_kept_engine(m.layout, key)) {  // asked to build it anew
    if (before->sha256 == hash) return *before;
    // A build that does not repeat itself bit by bit must not take the place of the one that ran.
    return keep_engine(work / "kept", m.layout, store::sha256_hex(key + "|" + hash));
  }
  return keep_engine(work / "kept", m.layout, key);
}

// The sources of a pin: the commit, where it is still there and still the same, else what the build
// kept.
Result<Source> pinned_source(const Making& m) {
  std::string why = "the files were a changed working tree";
  if (!m.pin->commit.empty()) {
    EngineSpec at = m.engine;
    at.commit = m.pin->commit;
    auto source = resolve_source(at, m.spec.root, m.layout, m.cancel);
    if (source && source->tree == m.pin->tree) return source;
    if (!source) why = source.error().message;
  }
  if (const auto kept = find_kept_engine(m.layout, m.pin->build_key)) {
    if (auto source = kept_source(kept->folder); source && source->tree == m.pin->tree) {
      return source;
    }
  }
  return fail(Exit::not_comparable, "the engine's sources (tree " + m.pin->tree.substr(0, 12) +
                                        ") are neither in " + m.engine.repo + " (" + why +
                                        ") nor kept by the build");
}

Result<Source> source_of(const Making& m) {
  if (m.pin == nullptr) return resolve_source(m.engine, m.spec.root, m.layout, m.cancel);
  // The kept program needs no sources.
  Source source;
  source.commit = m.pin->commit;
  source.tree = m.pin->tree;
  source.dirty = m.pin->dirty;
  return source;
}

void describe_source(const Source& source, const EngineSpec& spec, Engine& engine) {
  engine.facts["commit"] = source.commit;
  engine.facts["tree"] = source.tree;
  engine.facts["dirty"] = source.dirty ? "true" : "false";
  engine.facts["repo"] = spec.repo;
}

// The difference of a changed working tree is kept once for its tree and commit.
Result<> keep_diff(const Making& m, const Source& source, const KeptEngine& kept, Engine& engine) {
  if (!source.dirty || source.commit.empty()) return {};
  const fs::path diff = kept.folder / ("worktree-" + source.commit.substr(0, 12) + ".diff");
  const bool known = fs::exists(diff);
  if (known || source.worktree) engine.worktree_diff = diff;
  if (known || !source.worktree) return {};
  TRY_ASSIGN(const std::string text, worktree_diff(source, m.layout, m.cancel));
  return write_file(engine.worktree_diff, text);
}

Result<> build_or_reuse(const Making& m, const std::string& surroundings, Engine& engine) {
  TRY_ASSIGN(Source source, source_of(m));
  describe_source(source, m.engine, engine);
  engine.build_key = key_of(m.engine, source.tree, surroundings);
  const bool rebuild = m.pin != nullptr && m.pin->rebuild;
  auto kept = rebuild ? std::nullopt : find_kept_engine(m.layout, engine.build_key);
  if (!kept && m.pin != nullptr && !rebuild) {
    // The packages have moved on: the program itself was kept, and runs in what is here now.
    kept = find_kept_engine(m.layout, m.pin->build_key);
    if (kept) {
      engine.build_key = store::sha256_hex(m.pin->build_key + "|in|" + surroundings);
      engine.facts["engine.kept"] = m.pin->build_key;
    }
  }
  if (!kept) {
    TRY_ASSIGN(const auto lock,
               FileLock::acquire(m.layout.locks() / ("build-" + engine.build_key), m.cancel, [&] {
                 m.progress.say("waiting for another greta that builds this engine");
               }));
    // The other one may have made it.
    kept = rebuild ? std::nullopt : find_kept_engine(m.layout, engine.build_key);
    if (!kept) {
      if (m.pin != nullptr) {
        TRY_ASSIGN(source, pinned_source(m));
        source.commit = m.pin->commit;
        source.dirty = m.pin->dirty;
      }
      TRY_ASSIGN(kept, build_and_keep(m, source, engine.build_key));
      engine.build_key = kept->folder.filename().string();
    }
  }
  engine.binary = kept->binary;
  engine.binary_sha256 = kept->sha256;
  return keep_diff(m, source, *kept, engine);
}

Result<> ready_binary(const Making& m, const std::string& surroundings, Engine& engine) {
  const auto key = [&](const std::string& hash) {
    return store::sha256_hex("binary|" + hash + "|" + surroundings);
  };
  auto hash = checked_binary(*m.engine.binary, m.engine.place);
  if (m.pin != nullptr && (!hash || *hash != m.pin->binary_sha256)) {
    const auto kept = find_kept_engine(m.layout, m.pin->build_key);
    if (!kept) {
      return fail(Exit::not_comparable, "the engine " + m.engine.binary->string() +
                                            " with the SHA-256 " + m.pin->binary_sha256 +
                                            " is gone, and no copy of it was kept" +
                                            (hash ? " (the file there now has another hash)" : ""));
    }
    engine.binary = kept->binary;
    engine.binary_sha256 = kept->sha256;
    engine.build_key = key(kept->sha256);
    return {};
  }
  if (!hash) return tl::unexpected(hash.error());
  engine.binary_sha256 = *hash;
  engine.build_key = key(*hash);
  TRY_ASSIGN(const KeptEngine kept,
             keep_program(*m.engine.binary, *hash, m.layout, engine.build_key));
  // On the host it may need what lies beside it; in a container it is alone anyway.
  engine.binary = m.executor.isolated() ? kept.binary : *m.engine.binary;
  return {};
}

Result<> ready_program(const Making& m, const std::string& surroundings, Engine& engine) {
  engine.facts["program"] = m.engine.program;
  if (m.executor.isolated()) {
    engine.program = m.engine.program;
    engine.build_key = store::sha256_hex("program|" + m.engine.program + "|" + surroundings);
    return {};
  }
  const std::string found = find_program(m.engine.program);
  if (found.empty()) {
    return fail_at(m.engine.place, "engine.program: no program `" + m.engine.program +
                                       "` on this machine; it is one of the image " +
                                       m.engine.image + ": use podman or docker");
  }
  engine.binary = found;
  TRY_ASSIGN(engine.binary_sha256, checked_binary(engine.binary, m.engine.place));
  engine.build_key = store::sha256_hex("binary|" + engine.binary_sha256 + "|" + surroundings);
  return {};
}

Result<Image> image_of(const Making& m) {
  if (m.pin != nullptr && !m.pin->image.empty()) {
    TRY_ASSIGN(auto image, image_by_id(m.pin->image, m.executor, m.layout, m.cancel));
    if (image) {
      image->reference = m.pin->image_name;
      image->recipe = m.pin->image_recipe;
      image->base = m.pin->image_base;
      return *image;
    }
    m.progress.say("the image " + m.pin->image_name + " of that run is gone: using what " +
                   m.engine.image + " gives now");
  }
  return resolve_image(m.engine, m.spec.root, m.executor, m.layout, m.progress, m.cancel);
}

}  // namespace

Executor Engine::on(const Executor& executor) const {
  Executor out = executor;
  out.image = image;
  return out;
}

std::string Engine::placed(const Executor& executor, Job& job) const {
  if (binary.empty()) return program;
  return place(executor, binary, "/greta/engine/" + binary.filename().string(), false, job);
}

std::string Engine::shown() const { return binary.empty() ? program : binary.filename().string(); }

Result<Engine> ready_engine(const Spec& spec, const EngineSpec& engine_spec,
                            const Executor& executor, const Machine& machine, const Layout& layout,
                            Progress& progress, const Cancel& cancel, const EnginePin* pin) {
  Engine engine;
  Executor inside = executor;
  const Making m{.spec = spec,
                 .engine = engine_spec,
                 .executor = inside,
                 .layout = layout,
                 .progress = progress,
                 .cancel = cancel,
                 .pin = pin};
  std::string surroundings;
  if (executor.isolated()) {
    TRY_ASSIGN(const Image image, image_of(m));
    // The id, not the tag: between here and the last cell a tag may be given to another image.
    engine.image = inside.image = image.id;
    surroundings = image.key();
    engine.facts["image"] = image.id;
    engine.facts["image.name"] = image.reference;
    engine.facts["image.recipe"] = image.recipe;
    if (!image.base.empty()) engine.facts["image.base"] = image.base;
    engine.facts["image.packages_sha256"] = image.packages_sha256;
    engine.facts.insert(image.versions.begin(), image.versions.end());
  }
  if (engine_spec.binary) {
    TRY(ready_binary(m, surroundings, engine));
  } else if (!engine_spec.program.empty()) {
    TRY(ready_program(m, surroundings, engine));
  } else {
    if (!executor.isolated()) surroundings = host_tools(cancel);
    TRY(build_or_reuse(m, surroundings, engine));
    if (!executor.isolated()) {
      engine.facts["host_tools"] = surroundings;
      add_host_tool(surroundings, "c++", "host.compiler", engine);
      add_host_tool(surroundings, "hipcc", "host.hip", engine);
    }
  }
  engine.facts["build_key"] = engine.build_key;
  if (!engine.binary_sha256.empty()) engine.facts["binary_sha256"] = engine.binary_sha256;
  if (engine_spec.adapter.name == "greta") {
    TRY_ASSIGN(const Devices devices, devices_for(spec.decode.backend, machine));
    TRY(describe_engine(inside, machine, devices, layout, engine, cancel));
  }
  return engine;
}

}  // namespace greta::runner
