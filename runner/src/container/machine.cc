#include "container/machine.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <set>
#include <sstream>

#include "container/gpu.h"
#include "system/files.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

std::string line_of(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

// "key : value" files: /proc/cpuinfo, /proc/meminfo.
std::string value_of(const fs::path& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string name = line.substr(0, colon);
    name.erase(name.find_last_not_of(" \t") + 1);
    if (name != key) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return {};
}

std::string widest_isa(const fs::path& cpuinfo) {
  std::istringstream flags(value_of(cpuinfo, "flags") + " " + value_of(cpuinfo, "Features"));
  std::set<std::string> have;
  for (std::string flag; flags >> flag;) have.insert(flag);
  for (const auto& [flag, isa] : {std::pair<const char*, const char*>{"avx512bw", "avx512"},
                                  {"avx2", "avx2"},
                                  {"sse4_1", "sse4"},
                                  {"asimd", "neon"}}) {
    if (have.contains(flag)) return isa;
  }
  return "scalar";
}

int64_t count_cpus(const fs::path& cpuinfo) {
  std::ifstream in(cpuinfo);
  int64_t count = 0;
  for (std::string line; std::getline(in, line);) count += line.starts_with("processor");
  return count;
}

// Numbers of the groups video and render in this machine's /etc/group.
void add_named_groups(const fs::path& file, std::set<int64_t>& out) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("video:") && !line.starts_with("render:")) continue;
    const size_t second = line.find(':', line.find(':') + 1);
    if (second == std::string::npos) continue;
    int64_t number = 0;
    const auto* begin = line.data() + second + 1;
    if (std::from_chars(begin, line.data() + line.size(), number).ec == std::errc()) {
      out.insert(number);
    }
  }
}

void add_owning_group(const fs::path& node, std::set<int64_t>& out) {
  struct stat state {};
  if (stat(node.c_str(), &state) == 0 && state.st_gid != 0) out.insert(state.st_gid);
}

std::vector<std::string> names_in(const fs::path& folder, const std::string& prefix) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with(prefix)) out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

// Displays (class 0x03) and processing accelerators (0x12, as an MI300X calls itself) of a vendor.
int64_t count_cards(const fs::path& root, const std::string& vendor) {
  const fs::path devices = root / "sys/bus/pci/devices";
  int64_t count = 0;
  for (const auto& name : names_in(devices, "")) {
    const std::string kind = line_of(devices / name / "class");
    count += line_of(devices / name / "vendor") == vendor &&
             (kind.starts_with("0x03") || kind.starts_with("0x12"));
  }
  return count;
}

void find_cdi(const fs::path& root, Machine& machine) {
  for (const char* folder : {"etc/cdi", "var/run/cdi"}) {
    for (const auto& name : names_in(root / folder, "")) {
      const fs::path file = root / folder / name;
      const auto text = read_file(file);
      if (!text) continue;
      machine.cdi_files.push_back(file.string());
      machine.amd_cdi = machine.amd_cdi || text->find("amd.com/gpu") != std::string::npos;
      machine.nvidia_cdi = machine.nvidia_cdi || text->find("nvidia.com/gpu") != std::string::npos;
    }
  }
}

}  // namespace

Machine inspect_machine(const fs::path& root) {
  Machine machine;
  utsname name{};
  if (uname(&name) == 0) {
    machine.kernel = std::string(name.sysname) + " " + name.release + " " + name.machine;
  }
  machine.cpu = value_of(root / "proc/cpuinfo", "model name");
  if (machine.cpu.empty()) machine.cpu = name.machine;
  machine.isa = widest_isa(root / "proc/cpuinfo");
  machine.cpus = count_cpus(root / "proc/cpuinfo");
  machine.memory_bytes = std::atoll(value_of(root / "proc/meminfo", "MemTotal").c_str()) * 1024;

  machine.amd_cards = count_cards(root, "0x1002");
  machine.nvidia_cards = count_cards(root, "0x10de");
  machine.amd_module = fs::exists(root / "sys/module/amdgpu");
  machine.amd_kfd = fs::exists(root / "dev/kfd");
  machine.amd_may_open = access((root / "dev/kfd").c_str(), R_OK | W_OK) == 0;
  machine.render_nodes = names_in(root / "dev/dri", "renderD");
  if (machine.amd_kfd) {
    std::set<int64_t> groups;
    add_named_groups(root / "etc/group", groups);
    add_owning_group(root / "dev/kfd", groups);
    for (const auto& node : machine.render_nodes) add_owning_group(root / "dev/dri" / node, groups);
    machine.amd_groups.assign(groups.begin(), groups.end());
    machine.amd_driver = line_of(root / "sys/module/amdgpu/version");
    const auto architectures = amd_architectures(root);
    if (!architectures.empty()) machine.amd_card = architectures[0];
  }
  machine.nvidia = fs::exists(root / "dev/nvidiactl");
  machine.nvidia_driver = line_of(root / "sys/module/nvidia/version");
  machine.gpu_facts = gpu_facts(root);
  find_cdi(root, machine);
  const bool has_lock_folder = access((root / "run/lock").c_str(), W_OK) == 0;
  machine.device_lock = root / (has_lock_folder ? "run/lock" : "tmp") / "greta-gpu.lock";
  return machine;
}

Result<Devices> devices_for(const std::string& backend, const Machine& machine) {
  const bool any = backend == "auto";
  if (any || backend == "hip") {
    if (machine.amd_cdi) {
      return Devices{.route = DeviceRoute::amd_cdi, .groups = machine.amd_groups};
    }
    if (machine.amd_kfd && !machine.render_nodes.empty()) {
      return Devices{.route = DeviceRoute::amd_kfd, .groups = machine.amd_groups};
    }
    if (backend == "hip") {
      return fail(
          Exit::infrastructure,
          !machine.amd_kfd
              ? "backend `hip`: no /dev/kfd here: load the amdgpu driver (`greta doctor`)"
              : "backend `hip`: /dev/kfd is here, but no /dev/dri/renderD* (`greta doctor`)");
    }
  }
  if (any || backend == "cuda") {
    if (machine.nvidia_cdi) return Devices{.route = DeviceRoute::nvidia_cdi, .groups = {}};
    if (backend == "cuda") {
      return fail(Exit::infrastructure,
                  machine.nvidia ? "backend `cuda`: the driver is here, but no CDI spec: run "
                                   "`nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"
                                 : "backend `cuda`: no /dev/nvidiactl here: no NVIDIA driver");
    }
  }
  return Devices{};
}

bool may_use_gpu(const std::string& backend, const Machine& machine, bool in_container) {
  const auto devices = devices_for(backend, machine);
  if (devices && devices->route != DeviceRoute::none) return true;
  const bool asks = backend == "auto" || backend == "hip" || backend == "cuda";
  return !in_container && asks && (machine.amd_kfd || machine.nvidia);
}

int64_t free_bytes(const fs::path& folder) {
  struct statvfs state {};
  if (statvfs(folder.c_str(), &state) != 0) return 0;
  return static_cast<int64_t>(state.f_bavail) * static_cast<int64_t>(state.f_frsize);
}

}  // namespace greta::runner
