#pragma once
// effective.json: what a run really used, as against what it was asked for. Every flag with its
// value, source and whether anything read it; every kernel that was launched; backend, device, ISA.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "forward/backend.h"
#include "io/flags.h"
#include "model/model_config.h"
#include "session/sampler.h"

namespace greta::engine {

struct EffectiveRun {
  std::string backend = {}, isa = {}, numerics = {}, kv_type = {};
  std::string device = {};  // a GPU's name; empty: the CPU
  int threads = 0;
  std::string model_file = {};
  std::optional<ModelConfig> model = {};  // nothing: the model could not be loaded
  std::vector<KernelLaunches> kernels = {};
  Sampling sampling = {};
};

// Contract version, engine, version and build: how describe.json and effective.json begin.
nlohmann::ordered_json who_answers();

// The text of the file. `flags` says what was read up to now: call it last.
std::string effective_json(const EffectiveRun& run, const Flags& flags);

std::string cpu_name();  // as the kernel reports it, or "unknown"

}  // namespace greta::engine
