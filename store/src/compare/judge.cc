#include "compare/judge.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

namespace greta::store {

namespace {

bool is_all(const std::map<std::string, std::set<std::string>>& environment, const std::string& key,
            const std::string& value) {
  const auto at = environment.find(key);
  return at != environment.end() && at->second == std::set<std::string>{value};
}

bool equal_known(const RunInfo& a, const RunInfo& b, const std::string& key) {
  const auto in_a = a.environment.find(key), in_b = b.environment.find(key);
  return in_a != a.environment.end() && in_b != b.environment.end() &&
         in_a->second == in_b->second && in_a->second.size() == 1;
}

// Two programs, or one that greta only knows by its adapter, promise no common order of sums.
bool same_engine(const RunInfo& a, const RunInfo& b) {
  for (const RunInfo* run : {&a, &b}) {
    if (run->environment.contains("adapter") && !is_all(run->environment, "adapter", "greta")) {
      return false;
    }
  }
  const bool named = a.environment.contains("engine") && b.environment.contains("engine");
  return !named || equal_known(a, b, "engine");
}

const VariantInfo* find_variant(const RunInfo& run, const std::string& name) {
  const auto at = std::find_if(run.variants.begin(), run.variants.end(),
                               [&](const VariantInfo& one) { return one.name == name; });
  return at == run.variants.end() ? nullptr : &*at;
}

// Strict numerics fixes the order of the sums in each kernel, not that two kernels have one.
bool other_kernels(const RunInfo& run_a, const RunInfo& run_b, const VariantPair& arms) {
  const VariantInfo* const a = find_variant(run_a, arms.a);
  const VariantInfo* const b = find_variant(run_b, arms.b);
  if (a == nullptr || b == nullptr) return false;
  return !a->kernels.empty() && !b->kernels.empty() && a->kernels != b->kernels;
}

bool less_than(const Value& a, const Value& b) {
  if (a.type == Value::Type::integer && b.type == a.type) return a.integer < b.integer;
  return to_double(a) < to_double(b);
}

}  // namespace

FloorContext floor_context(const RunInfo& a, const RunInfo& b, const VariantPair& arms) {
  FloorContext out;
  out.same_order =
      is_all(a.environment, "numerics", "strict") && is_all(b.environment, "numerics", "strict") &&
      equal_known(a, b, "backend") && equal_known(a, b, "isa") && same_engine(a, b) &&
      (!a.environment.contains("effective.backend") || equal_known(a, b, "effective.backend")) &&
      !other_kernels(a, b, arms);
  const auto printed = [](const RunInfo& run) {  // by some of a set's runs, if not by all
    return run.provenance.find("recorded") != std::string::npos;
  };
  out.a_printed = printed(a);
  out.b_printed = printed(b);
  return out;
}

std::pair<const Values*, const Values*> farthest_values(const DiffRecord& a, const DiffRecord& b,
                                                        size_t field) {
  const auto known = [field](const DiffRecord& record) {
    std::vector<const Values*> out;
    for (const auto& [id, repeat] : record.repeats)
      if (repeat.values[field].type != Value::Type::null) out.push_back(&repeat.values);
    return out;
  };
  const auto in_a = known(a), in_b = known(b);
  std::pair<const Values*, const Values*> out{in_a.empty() ? nullptr : in_a[0],
                                              in_b.empty() ? nullptr : in_b[0]};
  if (in_a.empty() || in_b.empty() || (in_a.size() == 1 && in_b.size() == 1)) return out;
  const auto value = [field](const Values* values) -> const Value& { return (*values)[field]; };
  const auto equal = [&](const Values* x, const Values* y) {
    return same_value(value(x), value(y));
  };
  if (std::equal(in_a.begin(), in_a.end(), in_b.begin(), in_b.end(), equal)) return out;
  const auto number = [&](const Values* values) { return is_number(value(values)); };
  if (std::all_of(in_a.begin(), in_a.end(), number) &&
      std::all_of(in_b.begin(), in_b.end(), number)) {
    const auto less = [&](const Values* x, const Values* y) {
      return less_than(value(x), value(y));
    };
    const auto [low_a, high_a] = std::minmax_element(in_a.begin(), in_a.end(), less);
    const auto [low_b, high_b] = std::minmax_element(in_b.begin(), in_b.end(), less);
    const double up = to_double(value(*high_b)) - to_double(value(*low_a));
    const double down = to_double(value(*high_a)) - to_double(value(*low_b));
    return up >= down ? std::pair{*low_a, *high_b} : std::pair{*high_a, *low_b};
  }
  // What is no number weighs more than any distance.
  for (const bool other_kind : {true, false}) {
    for (const Values* one : in_a) {
      for (const Values* other : in_b)
        if (!equal(one, other) && (!other_kind || number(one) != number(other)))
          return {one, other};
    }
  }
  return out;
}

FigureJudge::FigureJudge(const KindInfo& kind, const RecordSet::Records& a,
                         const RecordSet::Records& b, const FloorContext& context)
    : kind_(kind),
      context_(context),
      repeats_a_(repeat_floors(kind, a)),
      repeats_b_(repeat_floors(kind, b)) {}

const RepeatFloor& FigureJudge::repeats(char side, size_t field) const {
  return (side == 'a' ? repeats_a_ : repeats_b_)[field];
}

Judgement FigureJudge::judge(size_t field, const Values& a, const Values& b) const {
  Judgement out = judge_value(field, a, b);
  if (out.verdict == Verdict::diverged && is_noise_of_error(field, a, b))
    out.verdict = Verdict::within_floor;
  // A sample of a tensor's elements says as little of how far apart they are.
  const std::string& type = kind_.fields[field].type;
  if (kind_.fields[field].role != FieldRole::hash && type != "hash" && type != "list") return out;
  const bool within =
      std::isinf(repeat_floor(repeats_a_[field], repeats_b_[field])) || explained(field, a, b);
  out.floor = 0;  // hashes are not nearly equal
  if (out.verdict != Verdict::identical)
    out.verdict = within ? Verdict::within_floor : Verdict::diverged;
  return out;
}

Judgement FigureJudge::judge_value(size_t field, const Values& a, const Values& b) const {
  Judgement out;
  out.difference = distance(a[field], b[field]);
  out.floor = repeat_floor(repeats_a_[field], repeats_b_[field]);
  const std::string& type = kind_.fields[field].type;
  const bool whole = type == "integer" || type == "boolean" ||
                     (a[field].type == Value::Type::integer && b[field].type == a[field].type);
  if (!std::isnan(out.difference) && !whole)
    out.floor = std::max(out.floor, numeric_floor(kind_, field, a, b, context_));
  if (same_value(a[field], b[field])) {
    out.verdict = Verdict::identical;
  } else if (std::isnan(out.difference)) {
    out.verdict = std::isinf(out.floor) ? Verdict::within_floor : Verdict::diverged;
  } else {
    out.verdict = out.difference <= out.floor ? Verdict::within_floor : Verdict::diverged;
  }
  return out;
}

// Beside the error of a tensor that has a bound (rel_l2): where it is largest and what stands there
// (worst_dim, worst_got, …), how large it is there (max_diff), what it does to the probabilities
// (kl). While the error is within its bound on both sides these are a matter of chance.
bool FigureJudge::is_noise_of_error(size_t field, const Values& a, const Values& b) const {
  const std::string& name = kind_.fields[field].column;
  std::optional<std::string> prefix;
  for (const std::string_view word : {"worst_", "max_diff", "kl"}) {
    const size_t at = name.find(word);
    const bool whole_name = word.ends_with('_') || at + word.size() == name.size();
    if (at != std::string::npos && whole_name && (at == 0 || name[at - 1] == '_'))
      prefix = name.substr(0, at);
  }
  if (!prefix) return false;
  const auto column = [&](const std::string& which) -> std::optional<size_t> {
    for (size_t i = 0; i < kind_.fields.size(); ++i)
      if (kind_.fields[i].column == *prefix + which) return i;
    return std::nullopt;
  };
  const auto error = column("rel_l2"), bound = column("bound");
  if (!error || !bound) return false;
  const auto is_noise = [&](const Values& values) {
    return to_double(values[*error]) <= to_double(values[*bound]);
  };
  return is_noise(a) && is_noise(b);
}

// Another hash says that some bit differs, not how much. Where the statistics of the same tensor
// moved, and stayed within their floors, that explains it. Where they did not move it does not: a
// permuted tensor has the same minimum, maximum and mean. Then what else the record measured, such
// as what was computed from the tensor, must have moved within its floors.
bool FigureJudge::explained(size_t field, const Values& a, const Values& b) const {
  const std::string& name = kind_.fields[field].column;
  const std::string prefix = name.ends_with("_hash") ? name.substr(0, name.size() - 4) : "";
  for (const std::string& tensor : {prefix, std::string()}) {
    bool moved = false;
    for (size_t i = 0; i < kind_.fields.size(); ++i) {
      const FieldInfo& other = kind_.fields[i];
      const bool measured = other.role == FieldRole::value && other.type != "integer" &&
                            other.type != "boolean" && is_number(a[i]) && is_number(b[i]);
      if (!measured || !other.column.starts_with(tensor) || same_value(a[i], b[i])) continue;
      if (judge_value(i, a, b).verdict == Verdict::diverged && !is_noise_of_error(i, a, b))
        return false;
      moved = true;
    }
    if (moved) return true;
  }
  return false;
}

}  // namespace greta::store
