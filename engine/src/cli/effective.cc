#include "cli/effective.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/build_info.h"
#include "contract/json_line.h"
#include "contract/schema.h"

namespace greta::engine {
namespace {

using Json = nlohmann::ordered_json;

Json model_json(const EffectiveRun& run) {
  Json model = {{"file", run.model_file}};
  if (!run.model) return model;
  const ModelConfig& config = *run.model;
  model["architecture"] = "llama";
  model["layers"] = config.layers;
  model["dim"] = config.dim;
  model["heads"] = config.heads;
  model["kv_heads"] = config.kv_heads;
  model["head_dim"] = config.head_dim;
  model["ffn"] = config.ffn;
  model["vocab"] = config.vocab;
  model["context"] = config.context;
  model["rms_eps"] = config.rms_eps;
  model["rope_base"] = config.rope_base;
  if (!config.rope_factors.empty()) model["rope_factors"] = config.rope_factors;
  model["tied_embeddings"] = config.tied_embeddings;
  return model;
}

}  // namespace

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name")) continue;
    const size_t start = line.find(": ");
    if (start != std::string::npos) return line.substr(start + 2);
  }
  return "unknown";
}

Json who_answers() {
  const BuildInfo& build = build_info();
  Json out;
  out["contract_version"] = builtin_schema().version;
  out["engine"] = "greta-infer";
  out["version"] = build.version;
  out["build"] = {{"commit", build.commit},
                  {"dirty", build.dirty == "true"},
                  {"compiler", build.compiler},
                  {"flags", build.flags}};
  return out;
}

std::string effective_json(const EffectiveRun& run, const Flags& flags) {
  Json out = who_answers();
  out["backend"] = run.backend;
  out["device"] = run.device.empty() ? cpu_name() : run.device;
  out["isa"] = run.isa;
  out["numerics"] = run.numerics;
  out["kv_type"] = run.kv_type;
  out["threads"] = run.threads;
  out["model"] = model_json(run);
  if (run.sampling.temperature > 0) {
    out["sampling"] = {{"temperature", run.sampling.temperature},
                       {"top_k", run.sampling.top_k},
                       {"top_p", run.sampling.top_p},
                       {"seed", run.sampling.seed}};
  }
  out["injected"] = "";
  out["flags"] = Json::array();
  for (const auto& flag : flags.effective()) {
    if (flag.name == "GRETA_INJECT") out["injected"] = flag.value;
    out["flags"].push_back(
        {{"name", flag.name}, {"value", flag.value}, {"source", flag.source}, {"read", flag.read}});
  }
  out["kernels"] = Json::array();
  for (const auto& kernel : run.kernels) {
    Json entry = {{"id", kernel.id},
                  {"op", kernel.op},
                  {"variant", kernel.variant},
                  {"code_hash", Hash64{kernel.code_hash}.hex()},
                  {"launches", kernel.launches}};
    if (kernel.threads > 0) {
      entry["grid"] = kernel.grid;
      entry["threads"] = kernel.threads;
    }
    out["kernels"].push_back(entry);
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace greta::engine
