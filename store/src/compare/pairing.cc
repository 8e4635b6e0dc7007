#include "compare/pairing.h"

#include <algorithm>

#include "contract/text.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

// Layout of a model: where these differ, figures of the same name do not mean the same.
constexpr std::string_view kShapeFields[] = {"vocab", "num_heads", "num_heads_kv", "head_dim"};

std::string all_of(const std::set<std::string>& values) {
  return joined({values.begin(), values.end()}, " | ");
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

bool is_shape(const FieldInfo& field) {
  return std::find(std::begin(kShapeFields), std::end(kShapeFields), field.column) !=
         std::end(kShapeFields);
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

Reason other_shape(const KindInfo& kind, const RecordSet::Records& a, const RecordSet::Records& b) {
  for (size_t i = 0; i < kind.fields.size(); ++i) {
    const std::string& name = kind.fields[i].column;
    if (!is_shape(kind.fields[i])) continue;
    std::set<std::string> values_a, values_b;
    for (const auto& [records, values] : {std::pair{&a, &values_a}, std::pair{&b, &values_b}}) {
      for (const auto& [key, record] : *records) {
        const Value& value = record.first()[i];
        if (value.type != Value::Type::null) values->insert(value_text(value));
      }
    }
    if (values_a.empty() || values_b.empty() || values_a == values_b) continue;
    const std::string what = name + " " + joined({values_a.begin(), values_a.end()}, ", ") + " / " +
                             joined({values_b.begin(), values_b.end()}, ", ");
    return Reason{"another shape: " + what, "otra forma: " + what};
  }
  return {};
}

Reason mixed_shape(const KindInfo& kind, const RecordSet::Records& records) {
  for (size_t i = 0; i < kind.fields.size(); ++i) {
    if (!is_shape(kind.fields[i])) continue;
    for (const auto& [key, record] : records) {
      const Value& first = record.first()[i];
      for (const auto& [id, repeat] : record.repeats) {
        const Value& other = repeat.values[i];
        if (first.type == Value::Type::null || other.type == Value::Type::null ||
            same_value(first, other)) {
          continue;
        }
        const std::string what = kind.fields[i].column + " " + value_text(first) + " / " +
                                 value_text(other) + " (" + key + ")";
        return Reason{"one side mixes shapes: " + what, "un lado mezcla formas: " + what};
      }
    }
  }
  return {};
}

PairRecords records_of_pair(const KindInfo& kind, const RecordSet& a, const RecordSet& b,
                            const VariantPair& pair) {
  PairRecords out{a.of_variant(pair.a), b.of_variant(pair.b)};
  if (out.a.empty() || out.b.empty()) return out;
  const bool heads_a = a.has_key(pair.a, "head"), heads_b = b.has_key(pair.b, "head");
  if (heads_a && !heads_b) out.a = a.without_key(pair.a, "head", kind);
  if (heads_b && !heads_a) out.b = b.without_key(pair.b, "head", kind);
  if (heads_a != heads_b) out.single_heads = heads_a ? 'a' : 'b';
  return out;
}

}  // namespace greta::store
