#include "container/container.h"

namespace greta::runner {

std::string to_string(Tool tool) { return tool == Tool::podman ? "podman" : "docker"; }

namespace {

void add_devices(const ContainerSpec& spec, std::vector<std::string>& out) {
  const auto add = [&out](const std::string& option, const std::string& value) {
    out.push_back(option);
    out.push_back(value);
  };
  switch (spec.devices.route) {
    case DeviceRoute::none:
      return;
    case DeviceRoute::nvidia_cdi:
      add("--device", "nvidia.com/gpu=all");
      return;
    case DeviceRoute::amd_cdi:
      add("--device", "amd.com/gpu=all");
      break;
    case DeviceRoute::amd_kfd:
      add("--device", "/dev/kfd");
      add("--device", "/dev/dri");
      break;
  }
  if (spec.rootless) {
    // A user's container cannot name the host's groups; it can keep those that the user has.
    add("--group-add", "keep-groups");
  } else {
    for (const int64_t group : spec.devices.groups) add("--group-add", std::to_string(group));
  }
  add("--security-opt", "seccomp=unconfined");
}

// --mount, not --volume: a missing source is an error, where docker's --volume would make an empty
// folder of it. Its value is separated by commas, so a path that holds one takes the other form.
void add_mount(Tool tool, const Mount& mount, std::vector<std::string>& out) {
  const std::string host = mount.host.string();
  if (host.find(',') != std::string::npos) {
    out.insert(out.end(),
               {"--volume", host + ":" + mount.inside + (mount.writable ? ":rw" : ":ro")});
    return;
  }
  std::string value = "type=bind,source=" + host + ",destination=" + mount.inside;
  if (!mount.writable) value += tool == Tool::podman ? ",ro=true" : ",readonly";
  out.insert(out.end(), {"--mount", value});
}

}  // namespace

std::vector<std::string> run_argv(const ContainerSpec& spec) {
  std::vector<std::string> out = {to_string(spec.tool), "run", "--rm"};
  const auto add = [&out](const std::string& option, const std::string& value) {
    out.push_back(option);
    out.push_back(value);
  };
  add("--name", spec.name);
  for (const auto& [key, value] : spec.labels) add("--label", key + "=" + value);
  add("--pull", "never");
  add("--network", "none");
  out.push_back("--read-only");
  // podman adds writable tmpfs on /run, /var/tmp and others to a read-only root unless told not to.
  if (spec.tool == Tool::podman) out.push_back("--read-only-tmpfs=false");
  // runc takes the mode that /tmp has in the image, other runtimes this one.
  add("--tmpfs", "/tmp:rw,exec,nosuid,nodev,mode=1777,size=" + std::to_string(spec.tmp_bytes));
  add("--cap-drop", "all");
  add("--security-opt", "no-new-privileges");
  if (spec.rootless) add("--userns", "keep-id");
  add("--user", std::to_string(spec.uid) + ":" + std::to_string(spec.gid));
  if (spec.quirks.limits && spec.pids > 0) add("--pids-limit", std::to_string(spec.pids));
  if (spec.quirks.limits && spec.memory_bytes > 0) {
    add("--memory", std::to_string(spec.memory_bytes));
    add("--memory-swap", std::to_string(spec.memory_bytes));  // the same: no swap on top
  }
  if (spec.file_bytes > 0) {
    const std::string bytes = std::to_string(spec.file_bytes);
    add("--ulimit", "fsize=" + bytes + ":" + bytes);
  }
  add("--ulimit", "core=0:0");
  out.insert(out.end(), spec.quirks.options.begin(), spec.quirks.options.end());
  add_devices(spec, out);
  for (const auto& mount : spec.mounts) add_mount(spec.tool, mount, out);
  for (const auto& [name, value] : spec.environment) add("--env", name + "=" + value);
  for (const auto& name : spec.secrets) add("--env", name);
  if (!spec.workdir.empty()) add("--workdir", spec.workdir);
  // The image's own entry point must not stand before the engine.
  add("--entrypoint", spec.argv.at(0));
  if (!spec.rootfs.empty()) {
    add("--rootfs", spec.rootfs.string());
  } else {
    out.push_back(spec.image);
  }
  out.insert(out.end(), spec.argv.begin() + 1, spec.argv.end());
  return out;
}

std::vector<std::string> remove_argv(Tool tool, const std::string& container) {
  if (tool == Tool::docker) return {"docker", "rm", "--force", container};
  return {"podman", "rm", "--force", "--time", "0", "--ignore", container};
}

std::vector<std::string> build_argv(const ImageBuild& build) {
  std::vector<std::string> out = {to_string(build.tool), "build", "--network", "host"};
  const auto add = [&out](const std::string& option, const std::string& value) {
    out.push_back(option);
    out.push_back(value);
  };
  if (build.tool == Tool::podman) add("--format", "docker");
  out.insert(out.end(), build.quirks.build_options.begin(), build.quirks.build_options.end());
  for (const auto& [name, value] : build.build_args) add("--build-arg", name + "=" + value);
  for (const auto& [key, value] : build.labels) add("--label", key + "=" + value);
  add("--tag", build.tag);
  add("--file", (build.folder / "Dockerfile").string());
  out.push_back(build.folder.string());
  return out;
}

}  // namespace greta::runner
