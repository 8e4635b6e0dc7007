#include "commands/doctor.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "container/executor.h"
#include "system/context.h"
#include "system/environment.h"
#include "system/files.h"
#include "system/json.h"
#include "system/layout.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kLittleDiskBytes = int64_t{10} << 30, kNoDiskBytes = int64_t{2} << 30;
constexpr int64_t kLittleMemoryBytes = int64_t{4} << 30;
constexpr char kOurArchitecture[] = "gfx942";

Finding tool_finding(const ToolState& state, bool other_works) {
  Finding finding{.what = to_string(state.tool)};
  if (state.usable) {
    finding.state = state.version + (state.rootless ? ", rootless" : "") + ", " + state.found;
    return finding;
  }
  finding.health = other_works ? Health::note : Health::bad;
  finding.state = state.problem;
  finding.fix = state.fix;
  return finding;
}

Finding git_finding(const Cancel& cancel) {
  Finding finding{.what = "git"};
  auto version = output_of({"git", "--version"}, cancel, 20);
  if (version) {
    version->erase(version->find_last_not_of('\n') + 1);
    finding.state = version->substr(version->rfind(' ') + 1);
  } else {
    finding.health = Health::bad;
    finding.state = "not installed: engines cannot be built from a commit";
    finding.fix = "apt-get install git";
  }
  return finding;
}

Finding disk_finding(const fs::path& store) {
  fs::path folder = fs::absolute(store).parent_path();
  while (!fs::exists(folder) && folder != folder.parent_path()) folder = folder.parent_path();
  const int64_t bytes = free_bytes(folder);
  Finding finding{.what = "disk",
                  .state = human_bytes(static_cast<double>(bytes)) + " free at " + folder.string()};
  if (bytes < kLittleDiskBytes) {
    finding.health = bytes < kNoDiskBytes ? Health::bad : Health::note;
    finding.fix = "the image docker/rocm takes about 2 GiB, traces of large models more";
  }
  if (access(folder.c_str(), W_OK) != 0) {
    finding.health = Health::bad;
    finding.state += ", not writable";
    finding.fix = "choose another place with --store FILE";
  }
  return finding;
}

Finding memory_finding(const Machine& machine) {
  Finding finding{.what = "memory",
                  .state = human_bytes(static_cast<double>(machine.memory_bytes)) + ", " +
                           std::to_string(machine.cpus) + " processors (" + machine.cpu + ", " +
                           machine.isa + ")"};
  if (machine.memory_bytes < kLittleMemoryBytes) {
    finding.health = Health::note;
    finding.fix = "builds of the engine may need more: `limits: {memory: …}` in the spec";
  }
  return finding;
}

// Which images of docker/… were made here already.
Finding image_finding(const ToolState& tool, const Cancel& cancel) {
  Finding finding{.what = "images"};
  const auto listed =
      output_of({to_string(tool.tool), "images", "--filter", "reference=localhost/greta/*",
                 "--format", "{{.Repository}}:{{.Tag}}"},
                cancel, 30);
  if (!listed || listed->empty()) {
    finding.health = Health::note;
    finding.state = "none built yet";
    finding.fix = "the first `greta run` builds what its spec names (some minutes)";
    return finding;
  }
  std::string text = *listed;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  finding.state = text;
  return finding;
}

// Containers whose greta was killed; the next `greta run` with that tool removes them as well.
void add_orphans(const ToolState& tool, std::vector<Finding>& findings, const Cancel& cancel) {
  if (!tool.usable) return;
  Executor executor;
  executor.kind = tool.tool == Tool::podman ? ExecutorKind::podman : ExecutorKind::docker;
  executor.tool = tool;
  const auto orphans = find_orphans(executor, cancel);
  if (orphans.empty()) return;
  std::string ids;
  for (const auto& id : orphans) ids += " " + id;
  findings.push_back({.health = Health::note,
                      .what = "left behind",
                      .state = std::to_string(orphans.size()) + " containers of a killed greta",
                      .fix = "`" + to_string(tool.tool) + " rm --force" + ids +
                             "`, or the next `greta run` does it"});
}

std::string cards(int64_t count, const std::string& vendor) {
  return std::to_string(count) + " " + vendor + (count == 1 ? " card" : " cards") +
         " on the PCI bus";
}

// Why /dev/kfd is not there, from the outside in: no card, no driver, a driver without compute.
Finding amd_without_kfd(const Machine& machine) {
  Finding amd{.health = Health::bad, .what = "AMD GPU"};
  if (machine.amd_cards == 0) {
    amd.health = Health::note;
    amd.state = "no /dev/kfd and no card on the PCI bus: experiments run on the CPU";
    amd.fix = "with an AMD card in a virtual machine: pass it through";
  } else if (!machine.amd_module) {
    amd.state = cards(machine.amd_cards, "AMD") + ", but the driver amdgpu is not loaded";
    amd.fix =
        "`modprobe amdgpu`; if there is none: `apt-get install firmware-amd-graphics` and a kernel "
        "of 6.8 or newer, or AMD's amdgpu-dkms";
  } else {
    amd.state = cards(machine.amd_cards, "AMD") + " and amdgpu is loaded, but there is no /dev/kfd";
    amd.fix =
        "`dmesg | grep -iE 'kfd|amdgpu'` says why: missing firmware, or a kernel without "
        "CONFIG_HSA_AMD";
  }
  return amd;
}

Finding amd_finding(const Machine& machine) {
  if (!machine.amd_kfd) return amd_without_kfd(machine);
  Finding amd{.what = "AMD GPU"};
  amd.state = (machine.amd_card.empty() ? "/dev/kfd" : machine.amd_card) + ", amdgpu driver " +
              (machine.amd_driver.empty() ? "of the kernel" : machine.amd_driver) + ", groups";
  for (const int64_t group : machine.amd_groups) amd.state += " " + std::to_string(group);
  if (machine.amd_groups.empty()) amd.state += " none";
  if (machine.amd_card.empty()) {
    amd.health = Health::bad;
    amd.state += ", but the driver has no GPU";
    amd.fix =
        "`dmesg | grep -iE 'kfd|amdgpu'` says why; in a container or virtual machine: is the "
        "card passed through?";
  } else if (machine.render_nodes.empty()) {
    amd.health = Health::bad;
    amd.state += ", no /dev/dri/renderD*";
    amd.fix = "load the driver with its render nodes: `modprobe amdgpu`, then look at `dmesg`";
  } else if (!machine.amd_may_open) {
    amd.health = Health::bad;
    amd.state += ", this user may not open /dev/kfd";
    amd.fix = "`usermod -aG render,video $USER` and log in again";
  } else {
    amd.state += machine.amd_cdi ? ", enters containers by CDI"
                                 : ", enters containers by /dev/kfd and /dev/dri";
  }
  return amd;
}

Finding nvidia_finding(const Machine& machine) {
  Finding nvidia{.what = "NVIDIA GPU"};
  if (!machine.nvidia && machine.nvidia_cards == 0) {
    nvidia.health = Health::note;
    nvidia.state = "no /dev/nvidiactl and no card on the PCI bus";
  } else if (!machine.nvidia) {
    nvidia.health = Health::bad;
    nvidia.state = cards(machine.nvidia_cards, "NVIDIA") + ", but its driver is not loaded";
    nvidia.fix = "`apt-get install nvidia-driver` (contrib, non-free), then `nvidia-smi`";
  } else {
    nvidia.state =
        "driver " + (machine.nvidia_driver.empty() ? "of unknown version" : machine.nvidia_driver);
    nvidia.state += machine.nvidia_cdi ? ", enters containers by CDI" : ", no CDI spec";
    if (!machine.nvidia_cdi) {
      nvidia.health = Health::bad;
      nvidia.fix =
          "install nvidia-container-toolkit and run `nvidia-ctk cdi generate "
          "--output=/etc/cdi/nvidia.yaml`";
    }
  }
  return nvidia;
}

const char* word(Health health) {
  switch (health) {
    case Health::good:
      return "ok  ";
    case Health::note:
      return "note";
    case Health::bad:
      break;
  }
  return "BAD ";
}

void run_doctor(Context& context) {
  install_signal_handlers();
  const Cancel& cancel = process_cancel();
  const ToolState podman = probe_tool(Tool::podman, cancel, Memory::probe_again);
  const ToolState docker = probe_tool(Tool::docker, cancel);
  const Machine machine = inspect_machine();
  std::vector<Finding> findings = tool_findings(podman, docker);
  for (const ToolState* tool : {&podman, &docker}) {
    if (tool->usable) {
      findings.push_back(image_finding(*tool, cancel));
      break;
    }
  }
  for (const ToolState* tool : {&podman, &docker}) add_orphans(*tool, findings, cancel);
  findings.push_back(git_finding(cancel));
  findings.push_back(disk_finding(context.find_store()));
  findings.push_back(memory_finding(machine));
  findings.push_back({.what = "kernel", .state = machine.kernel});
  for (auto& finding : device_findings(machine)) findings.push_back(std::move(finding));
  const bool works = podman.usable || docker.usable;
  if (context.json) {
    Json json = {{"usable", works}, {"findings", Json::array()}};
    for (const auto& finding : findings) {
      const std::string health = finding.health == Health::good   ? "ok"
                                 : finding.health == Health::note ? "note"
                                                                  : "bad";
      json["findings"].push_back({{"what", finding.what},
                                  {"health", health},
                                  {"state", finding.state},
                                  {"fix", finding.fix}});
    }
    std::printf("%s\n", json.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  } else {
    std::fputs(to_text(findings).c_str(), stdout);
    if (!works) {
      std::puts("no container tool works here; `greta run --executor host` runs without isolation");
    }
  }
  context.exit_code = works ? 0 : static_cast<int>(Exit::infrastructure);
}

}  // namespace

std::vector<Finding> tool_findings(const ToolState& podman, const ToolState& docker) {
  return {tool_finding(podman, docker.usable), tool_finding(docker, podman.usable)};
}

std::vector<Finding> device_findings(const Machine& machine) {
  std::vector<Finding> out = {amd_finding(machine)};
  if (machine.amd_kfd && !machine.amd_card.empty() && machine.amd_card != kOurArchitecture) {
    out.push_back(
        {.health = Health::note,
         .what = "AMD GPU",
         .state = "the kernels are built for " + std::string(kOurArchitecture) +
                  " (MI300X), this card is " + machine.amd_card,
         .fix = "`backend: hip` will say that it has no code for it; `auto` runs on the CPU"});
  }
  const auto partition = machine.gpu_facts.find("gpu.amd.compute_partition");
  if (partition != machine.gpu_facts.end() && partition->second != "SPX") {
    out.push_back({.health = Health::note,
                   .what = "AMD GPU",
                   .state = "compute partition " + partition->second +
                            ": a part of the card is a GPU of its own, and one of them is used",
                   .fix = "`amd-smi set --compute-partition SPX` for a whole card"});
  }
  out.push_back(nvidia_finding(machine));
  for (const auto& file : machine.cdi_files) out.push_back({.what = "CDI", .state = file});
  return out;
}

std::string to_text(const std::vector<Finding>& findings) {
  size_t width = 0;
  for (const auto& finding : findings) width = std::max(width, finding.what.size());
  std::string out;
  for (const auto& finding : findings) {
    out += std::string(word(finding.health)) + "  " + finding.what +
           std::string(width - finding.what.size(), ' ') + "  " + finding.state + "\n";
    if (!finding.fix.empty()) out += std::string(width + 8, ' ') + "→ " + finding.fix + "\n";
  }
  return out;
}

void register_doctor(CLI::App& app, Context& context) {
  CLI::App* doctor =
      app.add_subcommand("doctor", "what works on this machine, and how to fix what does not");
  doctor->footer("exit: 0 a container tool works, 4 none does");
  doctor->callback([&context] { run_doctor(context); });
}

}  // namespace greta::runner
