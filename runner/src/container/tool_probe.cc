#include "container/tool_probe.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "contract/text.h"
#include "system/environment.h"
#include "system/files.h"
#include "system/json.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

// A root folder that borrows this machine's /usr: a container without any image.
Result<fs::path> make_borrowed_root() {
  std::string pattern = (fs::temp_directory_path() / "greta-probe-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    return fail(Exit::infrastructure, "cannot make a temporary folder");
  }
  const fs::path root = pattern;
  std::error_code error;
  fs::permissions(root, fs::perms(0755), error);
  for (const char* name : {"usr", "tmp", "proc", "sys", "dev", "etc", "run"}) {
    fs::create_directory(root / name, error);
  }
  for (const char* name : {"bin", "lib", "lib32", "lib64"}) {
    if (fs::exists(fs::path("/") / name, error)) {
      fs::create_symlink(std::string("usr/") + name, root / name, error);
    }
  }
  return root;
}

// What the answer depends on: another version, kernel, user or limit asks again.
std::string machine_key(const std::string& version, const std::vector<std::string>& runtimes,
                        int64_t hard_nofile) {
  utsname name{};
  uname(&name);
  return version + "|" + name.release + "|" + name.nodename + "|" + std::to_string(getuid()) + "|" +
         joined(runtimes, " ") + "|" + std::to_string(hard_nofile);
}

std::optional<Quirks> remembered(const fs::path& file, const std::string& key) {
  const auto text = read_file(file);
  if (!text) return std::nullopt;
  const SortedJson json = SortedJson::parse(*text, nullptr, false);
  if (!json.is_object() || json.value("key", "") != key) return std::nullopt;
  Quirks quirks;
  for (const auto& [name, target] :
       {std::pair{"options", &quirks.options}, std::pair{"build_options", &quirks.build_options}}) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_array()) return std::nullopt;
    for (const auto& word : *found) {
      if (!word.is_string()) return std::nullopt;
      target->push_back(word.get<std::string>());
    }
  }
  const auto limits = json.find("limits");
  if (limits == json.end() || !limits->is_boolean()) return std::nullopt;
  quirks.limits = limits->get<bool>();
  return quirks;
}

void remember(const fs::path& file, const std::string& key, const Quirks& quirks) {
  const SortedJson json = {{"key", key},
                           {"options", quirks.options},
                           {"build_options", quirks.build_options},
                           {"limits", quirks.limits}};
  // Only speed depends on it: a folder that cannot be written means probing again next time.
  if (make_folders(file.parent_path())) static_cast<void>(write_file(file, json.dump() + "\n"));
}

std::string found_text(const Quirks& quirks) {
  std::string out = quirks.options.empty() ? "as it is" : "with " + joined(quirks.options, " ");
  if (!quirks.limits) out += ", without memory and pid limits (the cgroups here do not allow them)";
  return out;
}

ContainerSpec probe_spec(const Quirks& quirks, bool rootless, const fs::path& root) {
  ContainerSpec spec;
  spec.tool = Tool::podman;
  spec.quirks = quirks;
  spec.rootless = rootless;
  if (rootless) spec.uid = getuid(), spec.gid = getgid();
  spec.rootfs = root;
  spec.name = "greta-probe-" + std::to_string(getpid());
  spec.labels = {{"greta.owner", this_owner()},
                 {"greta.machine", this_machine()},
                 {"greta.store", kProbeLabel}};
  spec.mounts = {{"/usr", "/usr", false}};
  spec.argv = {"/usr/bin/true"};
  spec.memory_bytes = int64_t{256} << 20;
  spec.pids = 64;
  spec.file_bytes = int64_t{64} << 20;
  spec.tmp_bytes = int64_t{1} << 20;
  return spec;
}

ToolState probe_docker(const Cancel& cancel) {
  ToolState state;
  state.tool = Tool::docker;
  state.installed = !find_program("docker").empty();
  if (!state.installed) {
    state.problem = "docker is not installed";
    state.fix = "apt-get install docker.io";
    return state;
  }
  auto version = output_of({"docker", "version", "--format", "{{.Server.Version}}"}, cancel, 20);
  if (version) {
    version->erase(version->find_last_not_of('\n') + 1);
    state.version = *version;
    state.usable = true;
    state.found = "as it is";
    return state;
  }
  const std::string& said = version.error().message;
  if (said.find("permission denied") != std::string::npos) {
    state.problem = "the docker daemon runs, but this user may not talk to it";
    state.fix = "add yourself to the group `docker` (`usermod -aG docker $USER`) and log in again";
  } else {
    state.problem = "docker is installed, but its daemon does not answer";
    state.fix = "start it: `systemctl start docker`, or `dockerd` by hand as root";
  }
  return state;
}

ToolState probe_podman(const Cancel& cancel, Memory memory) {
  ToolState state;
  state.tool = Tool::podman;
  state.installed = !find_program("podman").empty();
  if (!state.installed) {
    state.problem = "podman is not installed";
    state.fix = "apt-get install podman runc";
    return state;
  }
  auto version = output_of({"podman", "--version"}, cancel, 20);
  if (!version) {
    state.problem = version.error().message;
    return state;
  }
  version->erase(version->find_last_not_of('\n') + 1);
  state.version = version->substr(version->rfind(' ') + 1);
  state.rootless = geteuid() != 0;
  std::vector<std::string> runtimes;
  for (const char* name : {"crun", "runc"}) {
    if (!find_program(name).empty()) runtimes.emplace_back(name);
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const auto hard_nofile = static_cast<int64_t>(files.rlim_max);
  const std::string key = machine_key(state.version, runtimes, hard_nofile);
  const fs::path file = cache_folder() / "podman.json";
  if (memory == Memory::use) {
    if (const auto known = remembered(file, key)) {
      state.usable = true;
      state.quirks = *known;
      state.found = found_text(*known);
      return state;
    }
  }
  const auto root = make_borrowed_root();
  if (!root) {
    state.problem = root.error().message;
    return state;
  }
  std::string first_error;
  for (const Quirks& quirks : quirk_ladder(runtimes, hard_nofile)) {
    const auto tried = output_of(run_argv(probe_spec(quirks, state.rootless, *root)), cancel, 60);
    if (tried) {
      state.usable = true;
      state.quirks = quirks;
      state.found = found_text(quirks);
      remember(file, key, quirks);
      break;
    }
    if (first_error.empty()) first_error = tried.error().message;
    if (cancel.requested()) break;
  }
  remove_tree(*root);
  if (!state.usable) {
    state.problem = "podman cannot run a container here: " + first_error;
    state.fix = runtimes.empty() ? "apt-get install runc (or crun)"
                                 : "see `podman info`; docker or `--executor host` are the others";
  }
  return state;
}

}  // namespace

std::vector<Quirks> quirk_ladder(const std::vector<std::string>& runtimes, int64_t hard_nofile) {
  // podman asks for more open files and processes than some machines (virtual ones most of all)
  // let even root have; crun refuses hybrid cgroups where runc does not.
  const std::string files = std::to_string(std::min<int64_t>(hard_nofile, 1024));
  const std::vector<std::string> low_limits = {"--ulimit", "nofile=" + files + ":" + files,
                                               "--ulimit", "nproc=4096:4096"};
  std::vector<std::vector<std::string>> runtime_options = {{}};
  for (const auto& name : runtimes) runtime_options.push_back({"--runtime", name});
  std::vector<Quirks> out;
  for (const bool limits : {true, false}) {
    for (const auto& runtime : runtime_options) {
      for (const bool low : {false, true}) {
        Quirks quirks{.options = runtime, .build_options = runtime, .limits = limits};
        if (low) {
          for (auto* target : {&quirks.options, &quirks.build_options}) {
            target->insert(target->end(), low_limits.begin(), low_limits.end());
          }
        }
        if (!limits) quirks.options.push_back("--cgroups=disabled");
        out.push_back(std::move(quirks));
      }
    }
  }
  return out;
}

ToolState probe_tool(Tool tool, const Cancel& cancel, Memory memory) {
  return tool == Tool::docker ? probe_docker(cancel) : probe_podman(cancel, memory);
}

}  // namespace greta::runner
