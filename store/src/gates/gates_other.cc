#include "gates/gates_other.h"

#include <algorithm>

#include "compare/arm_kernels.h"
#include "contract/text.h"
#include "db/sqlite.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

// What a timing is of, beside the program: known by these names in the environment of a run.
constexpr std::string_view kMachine[] = {"cpu", "cpus", "gpu", "device", "hardware", "threads"};

Result<OtherSides> arm_of_this_run(const KindScope& scope, const RunInfo& run) {
  const auto& arm = scope.gate.partner.arm;
  OtherSide side;
  side.run = run;
  side.same_run = true;
  std::vector<std::string> parts;
  for (const auto& [axis, value] : arm) parts.push_back(axis + "=" + value);
  side.name = joined(parts, ", ");
  for (const auto& [axis, value] : arm) {
    std::set<std::string> axes, values;
    for (const VariantInfo& variant : run.variants) {
      for (const auto& [name, its] : variant.axes) {
        axes.insert(name);
        if (name == axis) values.insert(its);
      }
    }
    if (values.contains(value)) continue;
    if (values.empty()) {
      return fail(Exit::usage, "`" + printable(axis) + "` is no axis of this run's matrix" +
                                   did_you_mean(axis, {axes.begin(), axes.end()}));
    }
    return OtherSides{{},
                      "no variant of this run has " + axis + "=" + printable(value) +
                          did_you_mean(value, {values.begin(), values.end()})};
  }
  for (const VariantInfo& variant : run.variants) {
    auto axes = variant.axes;
    for (const auto& [axis, value] : arm) axes[axis] = value;
    if (axes == variant.axes) continue;  // of the arm itself
    for (const VariantInfo& partner : run.variants) {
      if (partner.axes == axes)
        side.variants.push_back(VariantPair{variant.name, partner.name, true, "", variant.name});
    }
  }
  if (side.variants.empty()) {
    return OtherSides{{},
                      "no variant of this run differs from another one in " + side.name +
                          " alone: there is nothing to compare"};
  }
  return OtherSides{{std::move(side)}, ""};
}

Result<OtherSide> another_run(const KindScope& scope, const RunInfo& run, int64_t id) {
  OtherSide side;
  TRY_ASSIGN(side.run, load_run(scope.input.store, id));
  side.name = side.run.name;
  side.variants = match_variants(run, side.run);
  return side;
}

// Adds the run that the selector names, or says why there is none.
Result<> add_selected(const KindScope& scope, const RunInfo& run, const std::string& selector,
                      OtherSides& out) {
  const auto say = [&](const std::string& why) {
    out.reason += (out.reason.empty() ? "" : "; ") + why;
  };
  const auto selected = scope.input.store.select(selector);
  if (!selected) {
    const std::string& why = selected.error().message;
    const bool hinted = why.find("did you mean") != std::string::npos;
    say(why + (hinted ? "" : did_you_mean(selector, {"baseline"})));
  } else if (selected->run == run.id) {
    say("`" + selector + "` is this run itself");
  } else {
    TRY_ASSIGN(OtherSide side, another_run(scope, run, selected->run));
    out.found.push_back(std::move(side));
  }
  return {};
}

Result<OtherSides> baseline_of(const KindScope& scope, const RunInfo& run) {
  OtherSides out;
  TRY_ASSIGN(const Table accepted,
             select(scope.input.store, -1,
                    "SELECT run_id FROM runs WHERE accepted = 1 AND milestone = " +
                        quoted_text(run.milestone)));
  if (!accepted.rows.empty()) {
    const int64_t id = accepted.rows[0][0].integer;
    if (id == run.id) return OtherSides{{}, "the baseline is this run itself"};
    TRY_ASSIGN(OtherSide side, another_run(scope, run, id));
    out.found.push_back(std::move(side));
    return out;
  }
  for (const std::string& selector : run.baseline) TRY(add_selected(scope, run, selector, out));
  if (run.baseline.empty()) {
    out.reason = "there is no baseline: no run of " + run.milestone +
                 " was accepted before (greta accept RUN), and the spec names none";
  }
  return out;
}

std::string values_text(const RunInfo& run, const std::string& key) {
  const auto at = run.environment.find(key);
  return at == run.environment.end() ? "not recorded"
                                     : joined({at->second.begin(), at->second.end()}, " | ");
}

// A timing says something of the program only where the machine was the same.
std::string other_machine(const RunInfo& a, const RunInfo& b) {
  for (const std::string_view key : kMachine) {
    const std::string name(key), of_a = values_text(a, name), of_b = values_text(b, name);
    if (of_a != of_b) {
      return "timings of " + b.name + " are of another machine or setting: " + name + " " + of_a +
             " / " + of_b;
    }
  }
  return "";
}

// What shows that two arms are two: their kernels differ, and somebody read the flag.
Result<std::string> one_arm(const KindScope& scope, const RunInfo& run, const OtherSide& other) {
  TRY_ASSIGN(const ArmKernels kernels, ArmKernels::load(scope.input.store, run.id));
  std::map<std::string, const VariantInfo*> variants;
  for (const VariantInfo& variant : run.variants) variants[variant.name] = &variant;
  for (const VariantPair& pair : other.variants) {
    const VariantInfo &a = *variants.at(pair.a), &b = *variants.at(pair.b);
    const std::set<std::string>* const same = kernels.same(pair.a, pair.b);
    if (!forced_axis(a, b).empty() && same != nullptr) {
      return pair.a + " and " + pair.b + " ran the same kernels (" + *same->begin() +
             "): there is nothing to compare";
    }
    for (const auto& [axis, value] : scope.gate.partner.arm) {
      for (const VariantInfo* variant : {&a, &b}) {
        const auto flag = variant->flags.find(axis);
        if (flag == variant->flags.end() || flag->second.read != false) continue;
        return "nothing read " + axis + " in " + variant->name + ": there is nothing to compare";
      }
    }
  }
  return std::string();
}

}  // namespace

Result<OtherSides> other_sides(const KindScope& scope, const RunInfo& run) {
  const Partner& partner = scope.gate.partner;
  if (partner.what == Partner::What::arm) return arm_of_this_run(scope, run);
  if (partner.what == Partner::What::baseline) return baseline_of(scope, run);
  OtherSides out;
  TRY(add_selected(scope, run, partner.run, out));
  return out;
}

Result<std::string> why_not(const KindScope& scope, const RunInfo& run, const OtherSide& other) {
  if (other.same_run) return one_arm(scope, run, other);
  const Reason model = other_model(run, other.run);
  if (!model.empty()) return "not comparable with " + other.name + ": " + model.en;
  const FieldInfo* const field = scope.kind.find(scope.gate.field);
  if (field != nullptr && field->role == FieldRole::timing) return other_machine(run, other.run);
  return std::string();
}

}  // namespace greta::store
