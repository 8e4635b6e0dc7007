#include "cli/cli_backend.h"

#include "contract/text.h"
#include "kernels/context.h"

namespace greta::engine {

std::vector<BackendEntry> backend_table() {
  const std::string not_here = "not in this build";
  return {
      {"cpu", kernels::isa(), ""}, {"ref", "fp64", ""},   {"emu", "", not_here},
      {"cuda", "", not_here},      {"hip", "", not_here},
  };
}

Result<std::string> resolve_backend(const std::string& name) {
  if (name == "auto") return std::string("cpu");
  std::vector<std::string> names = {"auto"};
  std::string available;
  for (const auto& entry : backend_table()) {
    names.push_back(entry.name);
    if (entry.why_not.empty()) available += (available.empty() ? "" : ", ") + entry.name;
  }
  for (const auto& entry : backend_table()) {
    if (entry.name != name) continue;
    if (entry.why_not.empty()) return name;
    return fail(EngineExit::device,
                "backend " + name + " is " + entry.why_not + "; available: " + available);
  }
  return fail(EngineExit::usage,
              "unknown backend `" + printable(name) + "`" + did_you_mean(name, names));
}

Result<std::unique_ptr<Backend>> make_backend(const std::string& resolved, const GgufFile& file,
                                              const ModelConfig& config,
                                              const BackendOptions& options, const Flags& flags,
                                              const Faults& faults) {
  if (resolved == "cpu") return make_cpu_backend(file, config, options, flags, faults);
  if (faults.any()) {
    return fail(EngineExit::usage,
                "GRETA_INJECT: backend ref is the reference and takes no fault; use --backend cpu");
  }
  return make_ref_backend(file, config, options);
}

}  // namespace greta::engine
