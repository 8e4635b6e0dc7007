#pragma once
// manifest.json of a bundle and the effective.json of its engine, read and checked.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contract/result.h"

namespace greta::store {

struct ManifestFile {
  std::string name, sha256, role, kind;
  int64_t bytes = 0;
  // Of lines that name no request: that of their `prompt_id` here, else this one.
  std::string request;
  std::map<std::string, std::string, std::less<>> request_of_prompt;
};

struct ManifestCell {
  std::string identity, prompt, request, status, reason;
  std::string variant, variant_json;  // "" where it is the bundle's
};

struct ManifestPrompt {
  std::string id;
  std::optional<std::string> sha256, text;
};

struct Manifest {
  std::string provenance, status, reason, started_at, ended_at, milestone, executor;
  std::string argv_json, variant, variant_json;
  std::optional<int64_t> exit_code, signal, contract_version;
  std::optional<double> wall_s;
  int64_t repeat = 0;
  std::vector<ManifestCell> cells;
  std::map<std::string, std::string> environment;
  std::map<std::string, std::string> flags;
  std::vector<ManifestPrompt> prompts;
  std::vector<ManifestFile> files;
};

// Errors name the key. Keys that are not known here are left to the bytes, which the store keeps.
Result<Manifest> parse_manifest(std::string_view text);

struct EffectiveFlag {
  std::string name, value, source;
  std::optional<bool> read;
};
struct EffectiveKernel {
  std::string id, op, variant, code_hash;
  int64_t launches = 0;
};
struct Effective {
  std::vector<EffectiveFlag> flags;
  std::vector<EffectiveKernel> kernels;
  std::map<std::string, std::string> environment;  // everything else, nested names joined by a dot
};

Result<Effective> parse_effective(std::string_view text);

}  // namespace greta::store
