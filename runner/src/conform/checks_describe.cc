// What the engine says of itself: ENGINE describe --json.

#include <set>

#include "conform/trial.h"
#include "contract/text.h"
#include "spec/spec_flags.h"
#include "system/json.h"

namespace greta::runner {
namespace {
constexpr const char* kSection = "ENGINE describe --json";

Result<Outcome> prints_one_object(Trial& trial) {
  TRY_ASSIGN(const Description* const d, trial.description());
  if (!d->answer.finished.ok()) {
    return failed("exit 0", how_it_ended(d->answer.finished) +
                                (d->answer.said.empty() ? "" : ": " + d->answer.said));
  }
  if (!d->json) {
    return failed("one JSON object on stdout and nothing else",
                  d->text.empty() ? "nothing" : "`" + printable(d->text) + "`");
  }
  const int known = builtin_schema().version;
  const SortedJson version = d->json->value("contract_version", SortedJson());
  if (version != known) {
    return failed("`contract_version` " + std::to_string(known), version.dump());
  }
  return passed();
}

// The type of a part, as JSON names it, or what is wrong.
std::string wrong_part(const SortedJson& json, const std::string& key, SortedJson::value_t type,
                       const std::string& path) {
  const auto at = json.find(key);
  if (at == json.end()) return path + key + " is missing";
  if (at->type() != type) return path + key + " is " + at->type_name();
  return {};
}

std::string wrong_backends(const SortedJson& backends) {
  bool any = false;
  for (size_t i = 0; i < backends.size(); ++i) {
    const SortedJson& one = backends[i];
    const std::string path = "backends[" + std::to_string(i) + "].";
    if (!one.is_object()) return path.substr(0, path.size() - 1) + " is " + one.type_name();
    for (const auto& [key, type] : {std::pair{"name", SortedJson::value_t::string},
                                    std::pair{"available", SortedJson::value_t::boolean}}) {
      if (auto wrong = wrong_part(one, key, type, path); !wrong.empty()) return wrong;
    }
    const bool available = one["available"].get<bool>();
    any |= available;
    auto wrong = wrong_part(one, available ? "isa" : "why", SortedJson::value_t::string, path);
    if (!wrong.empty()) return wrong;
  }
  return any ? "" : "no backend is available";
}

Result<Outcome> has_all_parts(Trial& trial) {
  TRY_ASSIGN(const Description* const d, trial.description());
  if (!d->json) return skipped("nothing was described");
  using T = SortedJson::value_t;
  const std::string expected =
      "engine, version, build {commit, dirty}, backends [{name, available, isa or why}], flags, "
      "records";
  for (const auto& [key, type] : {std::pair{"engine", T::string},
                                  {"version", T::string},
                                  {"build", T::object},
                                  {"backends", T::array},
                                  {"flags", T::array},
                                  {"records", T::object}}) {
    if (auto wrong = wrong_part(*d->json, key, type, ""); !wrong.empty())
      return failed(expected, wrong);
  }
  for (const auto& [key, type] : {std::pair{"commit", T::string}, {"dirty", T::boolean}}) {
    if (auto wrong = wrong_part((*d->json)["build"], key, type, "build."); !wrong.empty())
      return failed(expected, wrong);
  }
  if (auto wrong = wrong_backends((*d->json)["backends"]); !wrong.empty())
    return failed(expected, wrong);
  return passed();
}

std::string wrong_row(const SortedJson& flag) {
  static const std::vector<std::string> kTypes = {"boolean", "integer", "choice",    "list",
                                                  "layers",  "heads",   "positions", "phases",
                                                  "file",    "text"};
  if (!flag.is_object()) return std::string("a row is ") + flag.type_name();
  using T = SortedJson::value_t;
  if (auto wrong = wrong_part(flag, "name", T::string, "a row's "); !wrong.empty()) return wrong;
  const std::string name = flag["name"];
  for (const char* key : {"type", "default", "doc"}) {
    if (auto wrong = wrong_part(flag, key, T::string, name + "."); !wrong.empty()) return wrong;
  }
  if (!name.starts_with("GRETA_")) return name + " does not start with GRETA_";
  if (name == "GRETA_STORE") return name + " belongs to greta";
  if (flag["doc"] == "") return name + ".doc is empty";
  const std::string type = flag["type"];
  if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end()) {
    return name + ".type is `" + printable(type) + "`" + did_you_mean(type, kTypes);
  }
  const bool choices = flag.contains("choices") && flag["choices"].is_array();
  if ((type == "choice" || type == "list") && (!choices || flag["choices"].empty())) {
    return name + " is a " + type + " without choices";
  }
  return {};
}

Result<Outcome> has_a_sane_flag_table(Trial& trial) {
  TRY_ASSIGN(const Description* const d, trial.description());
  if (!d->json || !d->json->contains("flags") || !(*d->json)["flags"].is_array()) {
    return skipped("no flag table was described");
  }
  const std::string expected = "rows of name (GRETA_…, once), type, choices, default and doc";
  std::set<std::string> names;
  for (const SortedJson& flag : (*d->json)["flags"]) {
    if (auto wrong = wrong_row(flag); !wrong.empty()) return failed(expected, wrong);
    if (!names.insert(flag["name"].get<std::string>()).second) {
      return failed(expected, flag["name"].get<std::string>() + " twice");
    }
  }
  // A default must be a value that an experiment could have set; "" stands for "not set".
  Spec defaults = trial.subject().spec();
  for (const SortedJson& flag : d->flags) {
    if (flag["default"] != "") defaults.flags[flag["name"]] = flag["default"].get<std::string>();
  }
  defaults.flag_places.clear();
  if (const auto good = check_flags(defaults, defaults.engines[0], *d->json); !good) {
    return failed("defaults that are values of their flags", good.error().message);
  }
  return passed();
}

Result<Outcome> describes_its_records(Trial& trial) {
  TRY_ASSIGN(const Description* const d, trial.description());
  if (!d->json || !d->json->contains("records")) return skipped("no records were described");
  const auto parsed = parse_schema((*d->json)["records"].dump());
  if (!parsed) return failed("the form of contract/records.json", parsed.error().str());
  if (parsed->find("request_end") == nullptr) {
    return failed("the kind request_end among the records", "it is not described");
  }
  return passed();
}

}  // namespace

const std::vector<Check>& describe_checks() {
  static const std::vector<Check> kChecks = {
      {"describe", "describe prints one JSON object", kSection, true, prints_one_object},
      {"describe_parts", "it has every part, and a backend that works", kSection, true,
       has_all_parts},
      {"flag_table", "every flag has a known type, a default and a text", kSection, true,
       has_a_sane_flag_table},
      {"record_kinds", "record kinds have fields of known types and roles", kSection, true,
       describes_its_records},
  };
  return kChecks;
}

}  // namespace greta::runner
