#pragma once
// What this machine has: processor, memory, GPUs and the ways into a container, containers tools'
// CDI specs. Read from /proc, /sys, /dev and /etc below a root, so that a test can show an MI300X.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "container/container.h"
#include "contract/result.h"

namespace greta::runner {

struct Machine {
  std::string kernel;  // "Linux 6.1.0 x86_64"
  std::string cpu;     // "AMD EPYC 9654 96-Core Processor"
  std::string isa;     // widest vector extension: avx512, avx2, sse4, neon, scalar
  int64_t cpus = 0;
  int64_t memory_bytes = 0;
  bool amd_kfd = false;                     // /dev/kfd is there, …
  bool amd_may_open = false;                // … and this user may use it
  bool amd_module = false;                  // the kernel has loaded amdgpu
  int64_t amd_cards = 0, nvidia_cards = 0;  // on the PCI bus, whether a driver has them or not
  std::vector<std::string> render_nodes;    // renderD128 …
  std::vector<int64_t> amd_groups;  // who may open them: numbers of video, render and owners
  std::string amd_driver;           // version of the amdgpu module, "" if none
  std::string amd_card;             // "gfx942"
  bool nvidia = false;              // /dev/nvidiactl is there
  std::string nvidia_driver;
  std::map<std::string, std::string> gpu_facts;  // firmware, clocks, partitions: see gpu.h
  std::vector<std::string> cdi_files;
  bool amd_cdi = false, nvidia_cdi = false;
  std::filesystem::path device_lock;  // held by whoever uses the GPUs here, any user and store
};

Machine inspect_machine(const std::filesystem::path& root = "/");

// How the backend's device enters a container. `auto` takes one when it is there; `hip` or `cuda`
// without the device is an error (infrastructure) that names what is missing.
Result<Devices> devices_for(const std::string& backend, const Machine& machine);

// Whether a program asked for this backend may use a GPU: one that enters its container, or, on the
// host, any that is there.
bool may_use_gpu(const std::string& backend, const Machine& machine, bool in_container);

// Bytes that a user may still write below a folder.
int64_t free_bytes(const std::filesystem::path& folder);

}  // namespace greta::runner
