#include "diff/diff_confounders.h"
#include "contract/text.h"

#include <algorithm>

namespace greta::store {

namespace {

// Groups of environment keys, by the start of their name, in the order of the report.
constexpr std::string_view kEnvironmentOrder[] = {
    "model", "engine", "adapter", "device", "hardware", "gpu",      "backend", "isa",     "commit",
    "tree",  "dirty",  "build",   "binary", "image",    "numerics", "kv_type", "threads", "env"};
constexpr size_t kKnownGroups = std::size(kEnvironmentOrder);

size_t group_of(std::string_view key) {
  for (size_t i = 0; i < kKnownGroups; ++i) {
    const std::string_view group = kEnvironmentOrder[i];
    const bool word_ends =
        key.size() == group.size() || key[group.size()] == '.' || key[group.size()] == '_';
    if (key.starts_with(group) && word_ends) return i;
  }
  return kKnownGroups;
}

// What the reader must see even where one side does not know it.
bool decides(std::string_view what) {
  constexpr std::string_view kDeciding[] = {"provenance", "model",    "model.file", "model.sha256",
                                            "device",     "hardware", "gpu",        "commit",
                                            "tree",       "image",    "numerics",   "variants"};
  return what.starts_with("prompt.") || what.starts_with("env.") ||
         std::find(std::begin(kDeciding), std::end(kDeciding), what) != std::end(kDeciding);
}

std::string all_of(const std::set<std::string>& values) {
  return joined({values.begin(), values.end()}, " | ");
}

std::string values_of(const RunInfo& run, const std::string& key) {
  const auto at = run.environment.find(key);
  const bool empty = run.environment_empty.contains(key);  // it was asked, and there was none
  if (at == run.environment.end()) return std::string(empty ? kNone : kNotRecorded);
  return (empty ? std::string(kNone) + " | " : "") + all_of(at->second);
}

const VariantInfo* find_variant(const RunInfo& run, const std::string& name) {
  for (const VariantInfo& variant : run.variants) {
    if (variant.name == name) return &variant;
  }
  return nullptr;
}

std::string flag_text(const RunInfo& run, const FlagUse* flag) {
  if (flag == nullptr) {
    return run.provenance == "recorded" ? std::string(kNotRecorded) : "not set";
  }
  std::string text = flag->value.empty() ? "(empty)" : flag->value;
  if (flag->source == "default") text += " (default)";
  if (flag->read == false && flag->source != "default") text += " (not read)";
  return text;
}

const FlagUse* find_flag(const VariantInfo& variant, const std::string& name) {
  const auto at = variant.flags.find(name);
  return at == variant.flags.end() ? nullptr : &at->second;
}

bool flags_differ(const FlagUse* a, const FlagUse* b) {
  const auto is_default = [](const FlagUse* f) { return f == nullptr || f->source == "default"; };
  if (is_default(a) && is_default(b)) return a != nullptr && b != nullptr && a->value != b->value;
  if (a == nullptr || b == nullptr || a->value != b->value) return true;
  return a->read.has_value() && b->read.has_value() && *a->read != *b->read;
}

void add_flags(const RunInfo& a, const RunInfo& b, const std::vector<VariantPair>& pairs,
               std::vector<Confounder>& out) {
  // (flag, a, b) → the pairs where it is so; said once when that is all of them.
  std::map<std::string, std::map<std::pair<std::string, std::string>, std::vector<std::string>>>
      differing;
  for (const VariantPair& pair : pairs) {
    const VariantInfo* variant_a = find_variant(a, pair.a);
    const VariantInfo* variant_b = find_variant(b, pair.b);
    if (variant_a == nullptr || variant_b == nullptr) continue;
    std::set<std::string> names;
    for (const auto& [name, flag] : variant_a->flags) names.insert(name);
    for (const auto& [name, flag] : variant_b->flags) names.insert(name);
    for (const std::string& name : names) {
      const FlagUse* flag_a = find_flag(*variant_a, name);
      const FlagUse* flag_b = find_flag(*variant_b, name);
      if (!flags_differ(flag_a, flag_b)) continue;
      differing[name][{flag_text(a, flag_a), flag_text(b, flag_b)}].push_back(pair.label);
    }
  }
  for (const auto& [name, values] : differing) {
    for (const auto& [texts, variants] : values) {
      std::string what = "flags." + name;
      if (variants.size() < pairs.size()) what += " [" + joined(variants, "; ") + "]";
      out.push_back(Confounder{what, texts.first, texts.second});
    }
  }
}

std::string prompt_text(const RunInfo& run, const std::string& prompt) {
  const auto at = run.prompts.find(prompt);
  if (at == run.prompts.end()) return std::string(kNotInThisRun);
  const PromptInfo& info = at->second;
  if (!info.sha256.empty()) return "sha256 " + info.sha256.substr(0, 16);
  return info.text.empty() ? std::string(kNotRecorded) : info.text;
}

void add_prompts(const RunInfo& a, const RunInfo& b, std::vector<Confounder>& out) {
  std::set<std::string> names;
  for (const auto& [name, info] : a.prompts) names.insert(name);
  for (const auto& [name, info] : b.prompts) names.insert(name);
  for (const std::string& name : names) {
    const std::string text_a = prompt_text(a, name), text_b = prompt_text(b, name);
    if (text_a != text_b) out.push_back(Confounder{"prompt." + name, text_a, text_b});
  }
}

std::string variant_names(const RunInfo& run) {
  std::vector<std::string> names;
  for (const VariantInfo& variant : run.variants) names.push_back(variant.label);
  std::sort(names.begin(), names.end());
  return names.empty() ? std::string(kNone) : joined(names, "; ");
}

}  // namespace

std::vector<Confounder> confounders(const RunInfo& a, const RunInfo& b,
                                    const std::vector<VariantPair>& pairs) {
  std::vector<Confounder> out;
  if (a.provenance != b.provenance) out.push_back({"provenance", a.provenance, b.provenance});
  std::set<std::pair<size_t, std::string>> keys;
  for (const auto& [key, values] : a.environment) keys.insert({group_of(key), key});
  for (const auto& [key, values] : b.environment) keys.insert({group_of(key), key});
  for (const RunInfo* run : {&a, &b})
    for (const std::string& key : run->environment_empty) keys.insert({group_of(key), key});
  const auto add = [&](const std::string& key) {
    if (key.ends_with("_now")) return;  // a clock of the moment when the run began
    const std::string text_a = values_of(a, key), text_b = values_of(b, key);
    if (text_a != text_b) out.push_back(Confounder{key, text_a, text_b});
  };
  for (const auto& [group, key] : keys) {
    if (group < kKnownGroups) add(key);
  }
  add_flags(a, b, pairs, out);
  add_prompts(a, b, out);
  if (variant_names(a) != variant_names(b)) {
    out.push_back(Confounder{"variants", variant_names(a), variant_names(b)});
  }
  for (const auto& [group, key] : keys) {
    if (group == kKnownGroups) add(key);
  }
  for (Confounder& one : out) {
    one.background = (one.a == kNotRecorded || one.b == kNotRecorded) && !decides(one.what);
  }
  return out;
}

std::string unknown_to(char side, const std::vector<Confounder>& confounders) {
  std::vector<std::string> names;
  for (const Confounder& one : confounders) {
    if (one.background && (side == 'a' ? one.a : one.b) == kNotRecorded) names.push_back(one.what);
  }
  return joined(names, ", ");
}

}  // namespace greta::store
