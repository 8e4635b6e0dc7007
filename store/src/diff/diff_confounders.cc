#include "diff/diff_confounders.h"
#include "contract/text.h"

#include <algorithm>

namespace greta::store {

namespace {

// Groups of environment keys, by the start of their name, in the order of the report.
constexpr std::string_view kEnvironmentOrder[] = {
    "model", "engine", "adapter", "device", "hardware", "gpu",      "backend", "isa",    "commit",
    "tree",  "dirty",  "build",   "binary", "image",    "numerics", "kv_type", "threads"};
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
  return what.starts_with("prompt.") ||
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
  if (at == run.prompts.end()) return "not in this run";
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

// A flag or axis counts once, whichever of the two said it.
std::map<std::string, std::string> settings(const VariantInfo& variant) {
  std::map<std::string, std::string> out = variant.axes;
  for (const auto& [name, flag] : variant.flags) out.emplace(name, flag.value);
  return out;
}

struct Agreement {
  int64_t equal = 0, contradicting = 0;
};
Agreement agreement(const VariantInfo& a, const VariantInfo& b) {
  Agreement out;
  const auto settings_b = settings(b);
  for (const auto& [name, value] : settings(a)) {
    const auto at = settings_b.find(name);
    if (at == settings_b.end()) continue;
    ++(at->second == value ? out.equal : out.contradicting);
  }
  return out;
}

bool axes_contradict(const VariantInfo& a, const VariantInfo& b) {
  return std::any_of(a.axes.begin(), a.axes.end(), [&](const auto& axis) {
    const auto at = b.axes.find(axis.first);
    return at != b.axes.end() && at->second != axis.second;
  });
}

std::string pair_note(const VariantInfo& a, const VariantInfo& b, const Agreement& agree) {
  std::vector<std::string> parts;
  const auto settings_b = settings(b);
  for (const auto& [name, value] : settings(a)) {
    const auto at = settings_b.find(name);
    if (at != settings_b.end() && at->second != value) {
      const auto shown = [](const std::string& text) { return text.empty() ? "(empty)" : text; };
      parts.push_back(name + ": " + shown(value) + " against " + shown(at->second));
    }
  }
  return "best agreement (" + std::to_string(agree.equal) + " flags equal)" +
         (parts.empty() ? "" : "; " + joined(parts, ", "));
}

const std::set<std::string>* known(const RunInfo& run, const std::string& key) {
  const auto at = run.environment.find(key);
  return at == run.environment.end() ? nullptr : &at->second;
}

const std::set<std::string>* model_name(const RunInfo& run) {
  const auto* name = known(run, "model.file");
  return name != nullptr ? name : known(run, "model");
}

}  // namespace

std::vector<VariantPair> match_variants(const RunInfo& a, const RunInfo& b) {
  std::vector<VariantPair> out;
  std::set<std::string> left_a, left_b;
  // A variant without axes is the whole experiment where it is alone. Beside others (figures of a
  // past report that name no arm) its flags must not contradict.
  const bool alone = a.variants.size() == 1 && b.variants.size() == 1;
  const auto same_arm = [&](const VariantInfo& one, const VariantInfo& other) {
    if (!one.axes.empty()) return one.axes == other.axes;
    if (!other.axes.empty() || one.label != other.label) return false;
    return alone || agreement(one, other).contradicting == 0;
  };
  for (const VariantInfo& variant : b.variants) left_b.insert(variant.name);
  for (const VariantInfo& variant : a.variants) {
    const auto same = std::find_if(b.variants.begin(), b.variants.end(), [&](const VariantInfo& v) {
      return left_b.contains(v.name) && same_arm(variant, v);
    });
    if (same == b.variants.end()) {
      left_a.insert(variant.name);
      continue;
    }
    left_b.erase(same->name);
    out.push_back(VariantPair{variant.name, same->name, true, "", variant.label});
  }
  // The rest: best agreement first. Arms that contradict each other on an axis are compared only
  // when the runs share no arm at all.
  const bool shares_arm = !out.empty();
  while (!left_a.empty() && !left_b.empty()) {
    const VariantInfo* best_a = nullptr;
    const VariantInfo* best_b = nullptr;
    Agreement best;
    for (const VariantInfo& variant_a : a.variants) {
      if (!left_a.contains(variant_a.name)) continue;
      for (const VariantInfo& variant_b : b.variants) {
        if (!left_b.contains(variant_b.name)) continue;
        if (shares_arm && axes_contradict(variant_a, variant_b)) continue;
        const Agreement agree = agreement(variant_a, variant_b);
        const bool better = best_a == nullptr || agree.contradicting < best.contradicting ||
                            (agree.contradicting == best.contradicting && agree.equal > best.equal);
        if (!better) continue;
        best = agree;
        best_a = &variant_a;
        best_b = &variant_b;
      }
    }
    if (best_a == nullptr) break;
    out.push_back(VariantPair{best_a->name, best_b->name, false, pair_note(*best_a, *best_b, best),
                              best_a->label});
    left_a.erase(best_a->name);
    left_b.erase(best_b->name);
  }
  return out;
}

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

Reason other_model(const RunInfo& a, const RunInfo& b) {
  const auto* hash_a = known(a, "model.sha256");
  const auto* hash_b = known(b, "model.sha256");
  const auto* name_a = model_name(a);
  const auto* name_b = model_name(b);
  const bool both_hashes = hash_a != nullptr && hash_b != nullptr;
  if (both_hashes && *hash_a == *hash_b) return {};
  if (both_hashes || (name_a != nullptr && name_b != nullptr)) {
    if (!both_hashes && *name_a == *name_b) return {};
    const bool by_name = name_a != nullptr && name_b != nullptr && *name_a != *name_b;
    const std::string both = by_name ? all_of(*name_a) + " / " + all_of(*name_b)
                                     : "sha256 " + all_of(*hash_a) + " / " + all_of(*hash_b);
    return Reason{"another model: " + both, "otro modelo: " + both};
  }
  const bool knows_a = hash_a != nullptr || name_a != nullptr;
  const bool knows_b = hash_b != nullptr || name_b != nullptr;
  if (!knows_a && !knows_b) return {};
  const std::string name = knows_a ? b.name : a.name;
  return Reason{"the model of " + name + " is not recorded, so it may be another one",
                "el modelo de " + name + " no está registrado: puede ser otro"};
}

bool other_prompt(const RunInfo& a, const RunInfo& b, const std::string& prompt) {
  const auto in_a = a.prompts.find(prompt), in_b = b.prompts.find(prompt);
  if (in_a == a.prompts.end() || in_b == b.prompts.end()) return false;
  const PromptInfo& one = in_a->second;
  const PromptInfo& two = in_b->second;
  if (!one.sha256.empty() && !two.sha256.empty()) return one.sha256 != two.sha256;
  return !one.text.empty() && !two.text.empty() && one.text != two.text;
}

}  // namespace greta::store
