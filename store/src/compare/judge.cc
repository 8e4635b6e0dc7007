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

}  // namespace

FloorContext floor_context(const RunInfo& a, const RunInfo& b) {
  FloorContext out;
  out.same_order =
      is_all(a.environment, "numerics", "strict") && is_all(b.environment, "numerics", "strict") &&
      equal_known(a, b, "backend") && equal_known(a, b, "isa") && same_engine(a, b) &&
      (!a.environment.contains("effective.backend") || equal_known(a, b, "effective.backend"));
  const auto printed = [](const RunInfo& run) {  // by some of a set's runs, if not by all
    return run.provenance.find("recorded") != std::string::npos;
  };
  out.a_printed = printed(a);
  out.b_printed = printed(b);
  return out;
}

FigureJudge::FigureJudge(const KindInfo& kind, const RecordSet::Records& a,
                         const RecordSet::Records& b, const FloorContext& context)
    : kind_(kind), context_(context), repeat_floor_(repeat_floors(kind, a)) {
  const std::vector<double> other = repeat_floors(kind, b);
  for (size_t i = 0; i < other.size(); ++i) repeat_floor_[i] = std::max(repeat_floor_[i], other[i]);
}

Judgement FigureJudge::judge(size_t field, const std::vector<Value>& a,
                             const std::vector<Value>& b) const {
  Judgement out = judge_value(field, a, b);
  if (out.verdict == Verdict::diverged && is_place_of_noise(field, a, b))
    out.verdict = Verdict::within_floor;
  // A sample of a tensor's elements says as little of how far apart they are.
  const std::string& type = kind_.fields[field].type;
  if (kind_.fields[field].role != FieldRole::hash && type != "hash" && type != "list") return out;
  const bool within = std::isinf(repeat_floor_[field]) || explained(field, a, b);
  out.floor = 0;  // hashes are not nearly equal
  if (out.verdict != Verdict::identical)
    out.verdict = within ? Verdict::within_floor : Verdict::diverged;
  return out;
}

Judgement FigureJudge::judge_value(size_t field, const std::vector<Value>& a,
                                   const std::vector<Value>& b) const {
  Judgement out;
  const bool numbers = is_number(a[field]) && is_number(b[field]);
  out.difference = numbers ? std::abs(to_double(a[field]) - to_double(b[field]))
                           : std::numeric_limits<double>::quiet_NaN();
  out.floor = repeat_floor_[field];
  const std::string& type = kind_.fields[field].type;
  const bool whole = type == "integer" || type == "boolean" ||
                     (a[field].type == Value::Type::integer && b[field].type == a[field].type);
  if (numbers && !whole)
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

// worst_dim, worst_got, …: where the error of a tensor is largest, and what stands there. While the
// error is within its bound on both sides that place is a matter of chance.
bool FigureJudge::is_place_of_noise(size_t field, const std::vector<Value>& a,
                                    const std::vector<Value>& b) const {
  const std::string& name = kind_.fields[field].column;
  const size_t at = name.find("worst_");
  if (at == std::string::npos || (at > 0 && name[at - 1] != '_')) return false;
  const std::string prefix = name.substr(0, at);
  const auto column = [&](const std::string& which) -> std::optional<size_t> {
    for (size_t i = 0; i < kind_.fields.size(); ++i)
      if (kind_.fields[i].column == prefix + which) return i;
    return std::nullopt;
  };
  const auto error = column("rel_l2"), bound = column("bound");
  if (!error || !bound) return false;
  const auto is_noise = [&](const std::vector<Value>& values) {
    return to_double(values[*error]) <= to_double(values[*bound]);
  };
  return is_noise(a) && is_noise(b);
}

// Another hash says that some bit differs, not how much. Where the statistics of the same tensor
// moved, and stayed within their floors, that explains it. Where they did not move at all it does
// not: a permuted tensor has the same minimum, maximum and mean.
bool FigureJudge::explained(size_t field, const std::vector<Value>& a,
                            const std::vector<Value>& b) const {
  const std::string& name = kind_.fields[field].column;
  const std::string prefix = name.ends_with("_hash") ? name.substr(0, name.size() - 4) : "";
  const auto measured = [&](size_t i) {
    const FieldInfo& other = kind_.fields[i];
    return other.role == FieldRole::value && other.type != "integer" && other.type != "boolean" &&
           is_number(a[i]) && is_number(b[i]);
  };
  std::vector<size_t> own, all;  // statistics of the same tensor, by their name, and of the record
  for (size_t i = 0; i < kind_.fields.size(); ++i) {
    if (!measured(i)) continue;
    all.push_back(i);
    if (kind_.fields[i].column.starts_with(prefix)) own.push_back(i);
  }
  bool moved = false;
  for (const size_t i : own.empty() ? all : own) {
    if (same_value(a[i], b[i])) continue;
    if (judge_value(i, a, b).verdict == Verdict::diverged && !is_place_of_noise(i, a, b))
      return false;
    moved = true;
  }
  return moved;
}

}  // namespace greta::store
