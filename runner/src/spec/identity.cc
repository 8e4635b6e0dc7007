#include "spec/identity.h"

#include <nlohmann/json.hpp>

#include "store/store.h"

namespace greta::runner {
namespace {

// nlohmann's objects are sorted. Bytes that are no UTF-8 (a device's name) must not throw.
std::string canonical(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

IdentityMaker::IdentityMaker(const Spec& spec, const ResolvedInputs& inputs, const Variant& variant)
    : spec_(spec) {
  const nlohmann::json decode = {{"backend", variant.decode.backend},
                                 {"kv_type", variant.decode.kv_type},
                                 {"max_tokens", variant.decode.max_tokens},
                                 {"numerics", variant.decode.numerics},
                                 {"threads", variant.decode.threads}};
  const EngineInputs& engine = inputs.engines.at(variant.engine);
  nlohmann::json before = {
      {"adapter", spec.engines.at(variant.engine).adapter.sha256},
      {"build_key", engine.build_key},
      {"contract_version", engine.contract_version},
      {"decode", decode},
      {"device", inputs.device},
      {"env", spec.env},
      {"flags", variant.flags},
      {"isa", engine.isa},
      // Whether an earlier prompt ran in the same process is something an engine can get wrong.
      {"isolation", spec.isolation == Isolation::process ? "process" : "request"},
      {"model_sha256", inputs.model_sha256},
  };
  // The names alone: a hash of a short secret can be guessed from.
  if (!spec.secrets.empty()) before["env_secret"] = spec.secrets;
  head_ = canonical(before);
  head_.back() = ',';  // open for "prompt" and "repeat", which sort after all of these
}

void IdentityMaker::fill(Cell& cell) const {
  const Prompt& prompt = spec_.prompts[cell.prompt];
  // The same bytes can be a text or a list of ids.
  const nlohmann::json rest = {
      {"prompt", {{"form", prompt.text ? "text" : "tokens"}, {"sha256", prompt.sha256}}},
      {"repeat", cell.repeat}};
  cell.identity_json = head_ + canonical(rest).substr(1);
  cell.identity = store::sha256_hex(cell.identity_json);
}

}  // namespace greta::runner
