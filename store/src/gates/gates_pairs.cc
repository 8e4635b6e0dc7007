#include "gates/gates_pairs.h"

#include <algorithm>

#include "compare/judge.h"
#include "contract/text.h"
#include "gates/gates_other.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

// Variant, prompt and repeat of a cell to what holds its records. Two runs that have the same there
// share the records: one of them took them from the cache.
struct Holder {
  std::string bundle;
  bool cached = false;
};
using Holders = std::map<std::tuple<std::string, std::string, int64_t>, Holder>;

Result<Holders> holders_of(Store& store, int64_t run) {
  TRY_ASSIGN(const Table cells,
             select(store, run,
                    "SELECT variant, prompt, repeat, bundle, request, cached FROM cells"
                    " WHERE bundle IS NOT NULL"));
  Holders out;
  for (const auto& row : cells.rows) {
    const std::string variant = value_text(row[0]), bundle = value_text(row[3]);
    const bool cached = row[5].integer != 0;
    out[{variant, value_text(row[1]), row[2].integer}] = {bundle + " " + value_text(row[4]),
                                                          cached};
    out[{variant, "", row[2].integer}] = {bundle, cached};  // records of no prompt
  }
  return out;
}

class Pairer {
 public:
  Pairer(const KindScope& scope, RunInfo run, OtherSide other) : scope_(scope) {
    out_.run = std::move(run);
    out_.other = std::move(other);
  }

  Result<GatePairs> pair() {
    const KindInfo& kind = scope_.kind;
    for (size_t i = 0; i < kind.fields.size(); ++i) {
      if (kind.fields[i].column == scope_.gate.field) out_.field = i;
    }
    TRY_ASSIGN(out_.refusal, why_not(scope_, out_.run, out_.other));
    if (!out_.refusal.empty()) return std::move(out_);
    KindInfo chosen = kind;
    if (!scope_.gate.where.empty()) chosen.view = "(SELECT *" + scope_.from() + ")";
    TRY_ASSIGN(const RecordSet a, RecordSet::load(scope_.input.store, out_.run.id, chosen));
    TRY_ASSIGN(const RecordSet b, RecordSet::load(scope_.input.store, out_.other.run.id, kind));
    TRY_ASSIGN(holders_a_, holders_of(scope_.input.store, out_.run.id));
    TRY_ASSIGN(holders_b_, holders_of(scope_.input.store, out_.other.run.id));
    std::set<std::string> paired;
    for (size_t i = 0; i < out_.other.variants.size(); ++i) {
      const VariantPair& variant = out_.other.variants[i];
      paired.insert(variant.a);
      if (out_.other.same_run) paired.insert(variant.b);
      out_.records.push_back(records_of_pair(kind, a, b, variant));
      const PairRecords& records = out_.records.back();
      const Reason shape = other_shape(kind, records.a, records.b);
      if (!shape.empty()) out_.refusal = shape.en;
      for (const auto& [key, record] : records.a) pair_record(i, record);
    }
    for (const VariantInfo& variant : out_.run.variants) {
      if (paired.contains(variant.name)) continue;
      for (const auto& [key, record] : a.of_variant(variant.name))
        alone(variant.name, record, static_cast<int64_t>(record.repeats.size()));
    }
    return std::move(out_);
  }

 private:
  void alone(const std::string& variant, const DiffRecord& record, int64_t repeats) {
    if (out_.alone == 0) {
      out_.first_alone = "variant=" + variant + (record.key.empty() ? "" : ", ") + record.key;
    }
    out_.alone += repeats;
  }

  // Whether the two are one and the same, or a timing is of an earlier run than the gate's.
  bool reused(const Holders::key_type& of_a, const Holders::key_type& of_b) const {
    const auto a = holders_a_.find(of_a);
    const auto b = holders_b_.find(of_b);
    if (a == holders_a_.end() || b == holders_b_.end()) return false;
    const bool timing = scope_.kind.fields[out_.field].role == FieldRole::timing;
    if (timing && (a->second.cached || (out_.other.same_run && b->second.cached))) return true;
    return !out_.other.same_run && a->second.bundle == b->second.bundle;
  }

  void pair_record(size_t variant, const DiffRecord& record) {
    const VariantPair& names = out_.other.variants[variant];
    const auto& others = out_.records[variant].b;
    const auto partner = others.find(record.key);
    if (partner != others.end() && !out_.other.same_run &&
        other_prompt(out_.run, out_.other.run, record.prompt)) {
      out_.other_prompt += static_cast<int64_t>(record.repeats.size());
      return;
    }
    for (const auto& [id, one] : record.repeats) {
      if (partner == others.end()) {
        alone(names.a, record, 1);
        continue;
      }
      const auto& repeats = partner->second.repeats;
      auto at = repeats.find(id);
      if (at == repeats.end()) at = repeats.begin();
      if (at->second.values[out_.field].type == Value::Type::null) {
        alone(names.a, record, 1);
        continue;
      }
      if (reused({names.a, record.prompt, id.number}, {names.b, record.prompt, at->first.number})) {
        ++out_.reused;
        continue;
      }
      out_.pairs.push_back(RecordPair{variant, &record, &partner->second, id.number,
                                      at->first.number, &one.values, &at->second.values});
    }
  }

  const KindScope& scope_;
  GatePairs out_;
  Holders holders_a_, holders_b_;
};

std::string count_text(int64_t count, const std::string& what) {
  return std::to_string(count) + (count == 1 ? " record " : " records ") + what;
}

}  // namespace

std::string GatePairs::notes() const {
  std::string out;
  if (alone > 0) {
    out +=
        "; " + count_text(alone, "without a partner in ") + other.name + ", first: " + first_alone;
  }
  if (other_prompt > 0) {
    out += "; " + count_text(other_prompt, "of prompts that have other bytes in ") + other.name;
  }
  if (reused > 0) {
    out += "; " + count_text(reused, "taken from the cache (--force runs them again)");
  }
  for (const VariantPair& variant : other.variants) {
    if (variant.same) continue;
    out += "; no arm is the same in both: " + variant.a + " is compared with " + variant.b +
           ", by " + variant.note;
    break;
  }
  return out;
}

std::string GatePairs::place(const RecordPair& pair) const {
  const std::string& key = pair.a->key;
  return "variant=" + other.variants[pair.variant].a + (key.empty() ? "" : ", ") + key +
         ", repeat=" + std::to_string(pair.repeat_a);
}

std::string shown(const Value& value) {
  return value.type == Value::Type::null ? "NULL" : value_text(value);
}

Result<GatePairs> pair_records(const KindScope& scope) {
  TRY_ASSIGN(RunInfo run, load_run(scope.input.store, scope.input.run));
  TRY_ASSIGN(OtherSides sides, other_sides(scope, run));
  GatePairs none;
  none.refusal = sides.reason;
  std::vector<std::string> reasons;
  for (OtherSide& side : sides.found) {
    TRY_ASSIGN(GatePairs pairs, Pairer(scope, run, std::move(side)).pair());
    const bool has_it = !pairs.pairs.empty() || pairs.reused > 0;
    if (pairs.refusal.empty() && has_it) return pairs;
    if (pairs.refusal.empty()) {
      pairs.refusal = "no record of this run has a partner with " + scope.gate.field + " in " +
                      pairs.other.name + pairs.notes();
    }
    reasons.push_back(pairs.refusal);
    none = std::move(pairs);
  }
  if (!sides.reason.empty()) reasons.push_back(sides.reason);
  none.refusal = joined(reasons, "; ");
  none.pairs.clear();
  return none;
}

}  // namespace greta::store
