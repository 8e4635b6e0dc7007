#include "cli/describe.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "cli/build_info.h"
#include "cli/cli_backend.h"
#include "cli/effective.h"
#include "contract/schema.h"
#include "forward/faults.h"
#include "io/flags.h"

namespace greta::engine {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> items(std::string_view choices) {
  std::vector<std::string> out;
  while (!choices.empty()) {
    const size_t bar = choices.find('|');
    out.emplace_back(choices.substr(0, bar));
    choices.remove_prefix(bar == std::string_view::npos ? choices.size() : bar + 1);
  }
  return out;
}

Json flag_json(const FlagInfo& flag) {
  Json out = {{"name", flag.name}, {"type", to_string(flag.type)}, {"choices", Json::array()}};
  if (flag.type == FlagType::integer) {
    const size_t dots = flag.choices.find("..");
    out["min"] = std::stoll(std::string(flag.choices.substr(0, dots)));
    out["max"] = std::stoll(std::string(flag.choices.substr(dots + 2)));
  } else {
    out["choices"] = items(flag.choices);
  }
  out["default"] = flag.default_value;
  out["doc"] = flag.doc;
  return out;
}

std::string values_of(const FlagInfo& flag) {
  switch (flag.type) {
    case FlagType::boolean:
      return "0, 1";
    case FlagType::integer:
      return std::string(flag.choices);
    case FlagType::layers:
      return "layers";
    case FlagType::heads:
      return "heads";
    case FlagType::positions:
      return "positions";
    case FlagType::phases:
      return "phases";
    case FlagType::file:
      return "file name";
    case FlagType::text:
      return "text";
    case FlagType::choice:
    case FlagType::list:
      break;
  }
  std::string out = flag.type == FlagType::list ? "list of " : "";
  const auto names = items(flag.choices);
  for (size_t i = 0; i < names.size(); ++i) out += (i ? ", " : "") + names[i];
  return out;
}

}  // namespace

std::string describe_json() {
  Json out = who_answers();
  out["backends"] = Json::array();
  for (const auto& backend : backend_table()) {
    Json entry = {{"name", backend.name}, {"available", backend.why_not.empty()}};
    if (backend.why_not.empty()) {
      entry["isa"] = backend.isa;
    } else {
      entry["why"] = backend.why_not;
    }
    out["backends"].push_back(entry);
  }
  out["flags"] = Json::array();
  for (const auto& flag : flag_table()) out["flags"].push_back(flag_json(flag));
  out["faults"] = Json::array();
  for (const auto& fault : fault_table()) {
    out["faults"].push_back({{"name", fault.name}, {"doc", fault.doc}});
  }
  out["records"] = Json::parse(builtin_schema_text());
  return out.dump(2) + "\n";
}

std::string describe_text() {
  const BuildInfo& build = build_info();
  const std::string commit = build.commit.empty() ? ""
                                                  : ", commit " + std::string(build.commit) +
                                                        (build.dirty == "true" ? " (changed)" : "");
  std::string out = "greta-infer " + std::string(build.version) + commit + ", " +
                    std::string(build.compiler) + "\ncontract version " +
                    std::to_string(builtin_schema().version) + "\n\nBackends\n";
  for (const auto& backend : backend_table()) {
    out += "  " + backend.name + ": " +
           (backend.why_not.empty() ? "available, " + backend.isa
                                    : "not available: " + backend.why_not) +
           "\n";
  }
  out += "\nFlags (environment variables)\n";
  for (const auto& flag : flag_table()) {
    out += "  " + std::string(flag.name) + "  [" + values_of(flag) + "]";
    if (!flag.default_value.empty()) out += "  default " + std::string(flag.default_value);
    out += "\n      " + std::string(flag.doc) + "\n";
  }
  out += "\nFaults (GRETA_INJECT)\n";
  for (const auto& fault : fault_table()) {
    out += "  " + std::string(fault.name) + ": " + std::string(fault.doc) + "\n";
  }
  out += "\nRecords\n";
  for (const auto& kind : builtin_schema().kinds) out += "  " + kind.name + ": " + kind.doc + "\n";
  return out;
}

std::string flags_page() {
  std::string out =
      "# Flags of greta-infer\n\n"
      "Made from `engine/src/io/flags.def`; do not edit. Flags are environment variables. A name "
      "that "
      "is\n"
      "not here, or a value that does not fit, ends the program with exit code 2 and the nearest "
      "right\n"
      "one. `effective.json` of a run says for each flag what it was, where it came from and "
      "whether\n"
      "anything read it. Booleans take 0 and 1 (also true, false, yes, no, on, off); layers, "
      "heads and\n"
      "positions take `all` or numbers, ranges and `last` (`0,1,4-7,last`); phases take `all` or\n"
      "`prefill_last`, `decode` (every step), `decode0`, `decode1`, …; a file name is bare and "
      "ends in\n"
      "`.jsonl`. A flag named `GRETA_TRACE_<NAME>_…` selects within the trace that "
      "`GRETA_TRACE_<NAME>`\n"
      "turns on; `GRETA_TRACE_ATTN_…` does so for all traces of the attention, `GRETA_TRACE_W_…` "
      "for\n"
      "those of weights. Traces never change a result: logits are bitwise equal with all of them "
      "on.\n\n"
      "| flag | values | default | meaning |\n|---|---|---|---|\n";
  for (const auto& flag : flag_table()) {
    out += "| `" + std::string(flag.name) + "` | " + values_of(flag) + " | " +
           std::string(flag.default_value) + " | " + std::string(flag.doc) + " |\n";
  }
  out += "\nFaults for `GRETA_INJECT`:\n\n| fault | what it does |\n|---|---|\n";
  for (const auto& fault : fault_table()) {
    out += "| `" + std::string(fault.name) + "` | " + std::string(fault.doc) + " |\n";
  }
  return out;
}

}  // namespace greta::engine
