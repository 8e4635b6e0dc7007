#include "ingest/ingest_manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "contract/text.h"

namespace greta::store {
namespace {

using nlohmann::json;

constexpr int kManifestVersion = 1;

// A text as it is, anything else as JSON; "" for nothing.
std::string as_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return {};
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string text_of(const json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() ? std::string() : as_text(*it);
}

std::optional<int64_t> integer_of(const json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_number_integer()) return std::nullopt;
  return it->get<int64_t>();
}

Error wrong(const std::string& what) { return Error{.message = "manifest: " + what}; }

Result<> one_of(const std::string& key, const std::string& value,
                const std::vector<std::string>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return {};
  return tl::unexpected(wrong("`" + key + "` is `" + printable(value) + "`, not one of " +
                              joined(allowed) + did_you_mean(value, allowed)));
}

std::map<std::string, std::string> text_map(const json& object, const char* key) {
  std::map<std::string, std::string> out;
  const auto it = object.find(key);
  if (it != object.end() && it->is_object())
    for (const auto& [name, value] : it->items()) out[name] = as_text(value);
  return out;
}

// `variant_axes` as JSON text.
std::string axes_text(const json& object) {
  json axes = json::object();
  for (const auto& [axis, value] : text_map(object, "variant_axes")) axes[axis] = value;
  return axes.dump(-1, ' ', false, json::error_handler_t::replace);
}

void flatten(const std::string& prefix, const json& value,
             std::map<std::string, std::string>& out) {
  if (!value.is_object()) {
    out[prefix] = as_text(value);
    return;
  }
  for (const auto& [name, inner] : value.items())
    flatten(prefix.empty() ? name : prefix + "." + name, inner, out);
}

Result<ManifestFile> parse_file(const json& item) {
  ManifestFile file;
  if (!item.is_object() || !item.contains("name") || !item["name"].is_string())
    return tl::unexpected(wrong("every entry of `files` needs a `name`"));
  file.name = item["name"].get<std::string>();
  const auto bytes = integer_of(item, "bytes");
  file.sha256 = text_of(item, "sha256");
  const bool is_hex = file.sha256.size() == 64 &&
                      file.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!bytes || *bytes < 0 || !is_hex) {
    return tl::unexpected(
        wrong("file `" + printable(file.name) + "` needs `bytes` and a lower-case `sha256`"));
  }
  file.bytes = *bytes;
  file.role = text_of(item, "role");
  file.kind = text_of(item, "kind");
  file.request = text_of(item, "request");
  for (auto& [prompt, request] : text_map(item, "request_of_prompt"))
    file.request_of_prompt.emplace(prompt, request);
  return file;
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view text) {
  const json j = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!j.is_object()) return tl::unexpected(wrong("not a JSON object"));
  if (integer_of(j, "manifest") != kManifestVersion) {
    return tl::unexpected(wrong("`manifest` is " + printable(text_of(j, "manifest")) +
                                ", this greta reads version " + std::to_string(kManifestVersion)));
  }
  Manifest out;
  out.provenance = text_of(j, "provenance");
  out.status = text_of(j, "status");
  TRY(one_of("provenance", out.provenance, {"recorded", "executed", "reenacted"}));
  TRY(one_of("status", out.status, {"ok", "failed", "timeout", "killed"}));
  out.reason = text_of(j, "reason");
  out.started_at = text_of(j, "started_at");
  out.ended_at = text_of(j, "ended_at");
  out.milestone = text_of(j, "milestone");
  out.executor = text_of(j, "executor");
  out.argv_json = j.contains("argv")
                      ? j["argv"].dump(-1, ' ', false, json::error_handler_t::replace)
                      : std::string("[]");
  out.variant = text_of(j, "variant");
  if (out.variant.empty()) out.variant = "default";
  out.variant_json = axes_text(j);
  out.exit_code = integer_of(j, "exit_code");
  out.signal = integer_of(j, "signal");
  out.contract_version = integer_of(j, "contract_version");
  if (j.contains("wall_s") && j["wall_s"].is_number()) out.wall_s = j["wall_s"].get<double>();
  out.repeat = integer_of(j, "repeat").value_or(0);
  out.environment = text_map(j, "environment");
  out.flags = text_map(j, "flags");
  if (j.contains("cells") && j["cells"].is_array()) {
    for (const json& cell : j["cells"]) {
      if (!cell.is_object()) return tl::unexpected(wrong("`cells` must be a list of objects"));
      out.cells.push_back({.identity = text_of(cell, "identity"),
                           .prompt = text_of(cell, "prompt"),
                           .request = text_of(cell, "request"),
                           .status = text_of(cell, "status"),
                           .reason = text_of(cell, "reason"),
                           .variant = text_of(cell, "variant"),
                           .variant_json = axes_text(cell)});
    }
  }
  if (j.contains("prompts") && j["prompts"].is_object()) {
    for (const auto& [id, prompt] : j["prompts"].items()) {
      ManifestPrompt p{.id = id, .sha256 = {}, .text = {}};
      if (prompt.is_object() && prompt.contains("sha256")) p.sha256 = as_text(prompt["sha256"]);
      if (prompt.is_object() && prompt.contains("text") && prompt["text"].is_string())
        p.text = prompt["text"].get<std::string>();
      out.prompts.push_back(std::move(p));
    }
  }
  if (!j.contains("files") || !j["files"].is_array())
    return tl::unexpected(wrong("`files` must be a list"));
  std::set<std::string> names;
  for (const json& item : j["files"]) {
    TRY_ASSIGN(ManifestFile file, parse_file(item));
    if (!names.insert(file.name).second)
      return tl::unexpected(wrong("file `" + printable(file.name) + "` is listed twice"));
    out.files.push_back(std::move(file));
  }
  return out;
}

Result<Effective> parse_effective(std::string_view text) {
  const json j = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!j.is_object()) return fail(Exit::usage, "effective.json: not a JSON object");
  Effective out;
  for (const auto& [key, value] : j.items()) {
    if (key == "flags" && value.is_array()) {
      for (const json& item : value) {
        if (!item.is_object()) return fail(Exit::usage, "effective.json: a flag is no object");
        EffectiveFlag flag{.name = text_of(item, "name"),
                           .value = text_of(item, "value"),
                           .source = text_of(item, "source"),
                           .read = {}};
        if (item.contains("read") && item["read"].is_boolean())
          flag.read = item["read"].get<bool>();
        out.flags.push_back(std::move(flag));
      }
    } else if (key == "kernels" && value.is_array()) {
      for (const json& item : value) {
        if (!item.is_object()) return fail(Exit::usage, "effective.json: a kernel is no object");
        out.kernels.push_back({.id = text_of(item, "id"),
                               .op = text_of(item, "op"),
                               .variant = text_of(item, "variant"),
                               .code_hash = text_of(item, "code_hash"),
                               .launches = integer_of(item, "launches").value_or(0)});
      }
    } else {
      flatten(key, value, out.environment);
    }
  }
  return out;
}

}  // namespace greta::store
