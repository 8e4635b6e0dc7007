#pragma once
// What a sandboxed container is, and the exact command line that makes it: a pure function for
// podman and docker, golden-tested, since no AMD device is on the machines that run the tests.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace greta::runner {

enum class Tool { podman, docker };
std::string to_string(Tool tool);

// How the machine differs from what the tool assumes; found by probing (tool_probe.h).
struct Quirks {
  std::vector<std::string> options;        // for run: --runtime runc --ulimit nofile=…
  std::vector<std::string> build_options;  // for build
  bool limits = true;                      // memory and pid limits work here
};

// How a device comes in. AMD by CDI needs a spec from amd-container-toolkit; /dev/kfd and /dev/dri
// work everywhere. Both need the host's groups by number (names differ between image and host) and
// no seccomp profile, which forbids calls that ROCm needs.
enum class DeviceRoute { none, amd_kfd, amd_cdi, nvidia_cdi };
struct Devices {
  DeviceRoute route = DeviceRoute::none;
  std::vector<int64_t> groups;  // AMD: numbers of the host's video and render groups
};

struct Mount {
  std::filesystem::path host;
  std::string inside;
  bool writable = false;
};

struct ContainerSpec {
  Tool tool = Tool::podman;
  Quirks quirks;
  bool rootless = false;  // podman run by a user: ids are mapped
  std::string image;
  std::filesystem::path rootfs;  // instead of an image (podman only)
  std::string name;              // greta-…
  std::map<std::string, std::string> labels;
  int64_t uid = 65534, gid = 65534;
  std::vector<Mount> mounts;
  std::map<std::string, std::string> environment;
  std::vector<std::string> secrets;  // names: the tool takes the values from its own environment
  std::string workdir;
  std::vector<std::string> argv;
  int64_t memory_bytes = 0, pids = 0, file_bytes = 0;  // 0: no limit
  int64_t tmp_bytes = int64_t{1} << 30;
  Devices devices;
};

// podman|docker run …: no network, read-only root, no capabilities, no new privileges, not root.
std::vector<std::string> run_argv(const ContainerSpec& spec);
// Stops and removes it, running or not.
std::vector<std::string> remove_argv(Tool tool, const std::string& container);

struct ImageBuild {
  Tool tool = Tool::podman;
  Quirks quirks;
  std::filesystem::path folder;  // holds the Dockerfile
  std::string tag;
  std::map<std::string, std::string> build_args;
  std::map<std::string, std::string> labels;
};
// podman|docker build …, with the host's network: package mirrors are reached as the host does.
std::vector<std::string> build_argv(const ImageBuild& build);

}  // namespace greta::runner
