#include "run/prepare.h"

#include "run/model.h"
#include "run/redact.h"
#include "spec/spec_flags.h"
#include "system/environment.h"
#include "system/json.h"

namespace greta::runner {
namespace {

// The instruction set that the engine will use, by its own words, else the machine's widest.
std::string isa_of(const Engine& engine, const std::string& backend, const Machine& machine) {
  const SortedJson json = SortedJson::parse(engine.describe_json, nullptr, false);
  if (json.is_object() && json.contains("backends") && json["backends"].is_array()) {
    const std::string name = backend == "auto" ? "cpu" : backend;
    for (const auto& entry : json["backends"]) {
      if (!entry.is_object() || entry.value("name", SortedJson()) != name) continue;
      const auto isa = entry.find("isa");
      if (isa != entry.end() && isa->is_string()) return isa->get<std::string>();
    }
  }
  return machine.isa;
}

std::string device_of(const Devices& devices, const Machine& machine) {
  switch (devices.route) {
    case DeviceRoute::amd_kfd:
    case DeviceRoute::amd_cdi:
      return "AMD " + (machine.amd_card.empty() ? "GPU" : machine.amd_card) + ", " + machine.cpu;
    case DeviceRoute::nvidia_cdi:
      return "NVIDIA GPU, " + machine.cpu;
    case DeviceRoute::none:
      break;
  }
  return machine.cpu;
}

Result<std::map<std::string, std::string>> read_secrets(const Spec& spec) {
  std::map<std::string, std::string> out;
  for (const std::string& name : spec.secrets) {
    const auto value = secret_variable(name);
    if (!value) {
      return fail_at(spec.places.at("secrets"), "`secrets`: " + name + " is not set here");
    }
    if (value->size() < kLeastSecretBytes) {
      return fail_at(spec.places.at("secrets"),
                     "`secrets`: " + name + " is shorter than " +
                         std::to_string(kLeastSecretBytes) +
                         " characters and could not be told from other output");
    }
    out[name] = *value;
  }
  return out;
}

}  // namespace

Result<Prepared> prepare(Spec spec, const Executor& executor, const std::vector<EnginePin>& pins,
                         const Layout& layout, Progress& progress, const Cancel& cancel) {
  Prepared p;
  p.spec = std::move(spec);
  p.executor = executor;
  p.machine = inspect_machine();
  TRY_ASSIGN(p.secrets, read_secrets(p.spec));
  TRY_ASSIGN(p.inputs.model_sha256, check_model(p.spec, progress));
  TRY_ASSIGN(const Devices devices, devices_for(p.spec.decode.backend, p.machine));
  p.inputs.device = device_of(devices, p.machine);
  for (size_t i = 0; i < p.spec.engines.size(); ++i) {
    const EnginePin* pin = pins.empty() ? nullptr : &pins.at(i);
    TRY_ASSIGN(Engine engine, ready_engine(p.spec, p.spec.engines[i], p.executor, p.machine, layout,
                                           progress, cancel, pin));
    if (!engine.describe_json.empty()) {
      TRY(check_flags(p.spec, p.spec.engines[i],
                      SortedJson::parse(engine.describe_json, nullptr, false)));
    }
    p.inputs.engines.push_back({.contract_version = engine.contract_version,
                                .build_key = engine.build_key,
                                .isa = isa_of(engine, p.spec.decode.backend, p.machine)});
    p.engines.push_back(std::move(engine));
  }
  TRY_ASSIGN(p.plan, make_plan(p.spec, p.inputs));
  return p;
}

std::string resolved_json(const Prepared& p) {
  // In order: that of the axes is the order of the variants.
  nlohmann::ordered_json out = {{"lock", 1}};
  for (const auto& [name, value] : p.engines[0].facts) out[name] = value;
  // An empty text would count as a commit.
  if (out.value("commit", "") == "") out["commit"] = nullptr;
  out["model"] = {{"file", p.spec.model_file.filename().string()},
                  {"sha256", p.inputs.model_sha256}};
  out["prompts"] = nlohmann::ordered_json::object();
  for (const auto& prompt : p.spec.prompts) out["prompts"][prompt.id] = prompt.sha256;
  out["variants"] = nlohmann::ordered_json::array();
  for (const auto& variant : p.plan.variants) out["variants"].push_back(variant.name);
  out["executor"] = p.executor.version();
  out["device"] = p.inputs.device;
  out["isa"] = p.inputs.engines[0].isa;
  out["engines"] = nlohmann::ordered_json::array();
  for (size_t i = 0; i < p.engines.size(); ++i) {
    out["engines"].push_back({{"name", p.spec.engines[i].name}, {"facts", p.engines[i].facts}});
  }
  out["spec"] = nlohmann::ordered_json::parse(p.spec.flat);
  return out.dump(-1, ' ', false, SortedJson::error_handler_t::replace);
}

}  // namespace greta::runner
