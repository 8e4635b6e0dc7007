#include "cli/cli_backend.h"

#include "contract/text.h"
#include "forward/device_attention.h"
#include "forward/gpu_backend.h"
#include "kernels/context.h"
#include "kernels/gpu.h"

namespace greta::engine {
namespace {

namespace gpu = kernels::gpu;

BackendEntry entry_of(const std::string& name, const gpu::OpenDevice& opened) {
  if (opened.device == nullptr) return {name, "", opened.why_not};
  return {name, opened.device->isa() + ", " + opened.device->name(), ""};
}

constexpr const char* kCpuAndEmu = "cpu+emu";

}  // namespace

std::vector<BackendEntry> backend_table() {
  const std::string emulated = "emu64";
  return {{"cpu", kernels::isa(), ""},
          {"ref", "fp64", ""},
          {"emu", emulated, ""},
          {kCpuAndEmu, kernels::isa() + "+" + emulated, ""},
          entry_of("cuda", gpu::open_cuda()),
          entry_of("hip", gpu::open_hip())};
}

Result<std::string> resolve_backend(const std::string& name, const Flags& flags) {
  if (name == "auto") {
    if (gpu::open_hip().device != nullptr) return std::string("hip");
    if (gpu::open_cuda().device != nullptr) return std::string("cuda");
    return std::string(asks_for_device_attention(flags) ? kCpuAndEmu : "cpu");
  }
  const auto table = backend_table();
  std::vector<std::string> names = {"auto"};
  std::string available;
  for (const auto& entry : table) {
    names.push_back(entry.name);
    if (entry.why_not.empty()) available += (available.empty() ? "" : ", ") + entry.name;
  }
  for (const auto& entry : table) {
    if (entry.name != name) continue;
    if (entry.why_not.empty()) return name;
    return fail(EngineExit::device,
                "backend " + name + " is not here: " + entry.why_not + "; available: " + available);
  }
  return fail(EngineExit::usage,
              "unknown backend `" + printable(name) + "`" + did_you_mean(name, names));
}

Result<std::unique_ptr<Backend>> make_backend(const std::string& resolved, const GgufFile& file,
                                              const ModelConfig& config,
                                              const BackendOptions& options, const Flags& flags,
                                              const Faults& faults) {
  if (resolved == "cpu" || resolved == kCpuAndEmu) {
    return make_cpu_backend(file, config, options, flags, faults, resolved == kCpuAndEmu);
  }
  for (const auto target : {gpu::Target::emu, gpu::Target::cuda, gpu::Target::hip}) {
    if (resolved != to_string(target)) continue;
    return make_gpu_backend(target, file, config, options, flags, faults);
  }
  if (faults.any()) {
    return fail(EngineExit::usage,
                "GRETA_INJECT: backend ref is the reference and takes no fault; use --backend cpu");
  }
  TRY(refuse_device_attention(flags));
  return make_ref_backend(file, config, options);
}

}  // namespace greta::engine
