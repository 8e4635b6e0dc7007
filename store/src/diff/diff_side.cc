#include "diff/diff_side.h"

#include <algorithm>

#include "contract/text.h"
#include "diff/diff_confounders.h"

namespace greta::store {

namespace {

using Axes = std::map<std::string, std::string>;

std::string text_of(const Axes& axes) {
  std::vector<std::string> parts;
  for (const auto& [axis, value] : axes) parts.push_back(axis + "=" + value);
  return joined(parts, ",");
}

Axes axes_of(const RunInfo& run, const VariantInfo& variant) {
  Axes axes = variant.axes;
  // A recorded arm that is known by its name alone.
  if (axes.empty() && run.variants.size() > 1) axes["variant"] = variant.name;
  return axes;
}

std::vector<std::string> listed(const std::set<std::string>& names) {
  return {names.begin(), names.end()};
}

// The first axis or value that no variant has, in words.
std::string what_is_wrong(const RunInfo& run, const Axes& arms) {
  std::map<std::string, std::set<std::string>> known;
  for (const VariantInfo& variant : run.variants) {
    for (const auto& [axis, value] : axes_of(run, variant)) known[axis].insert(value);
  }
  std::set<std::string> axes;
  for (const auto& [axis, values] : known) axes.insert(axis);
  for (const auto& [axis, value] : arms) {
    if (axes.empty()) return run.name + " has one variant, so there are no arms to choose from";
    if (!axes.contains(axis)) {
      return run.name + " has no axis `" + printable(axis) + "`" +
             did_you_mean(axis, listed(axes)) + "; it has " + joined(listed(axes), ", ");
    }
    const auto& values = known[axis];
    if (!values.contains(value)) {
      return run.name + " has no variant with " + axis + "=" + printable(value) +
             did_you_mean(value, listed(values)) + "; there are " + joined(listed(values), ", ");
    }
  }
  return run.name + " has no variant with all of " + printable(text_of(arms), 200);
}

Result<RunInfo> load_arms(Store& store, int64_t id, const Axes& arms) {
  TRY_ASSIGN(RunInfo run, load_run(store, id));
  if (arms.empty()) return run;
  std::set<std::string> chosen;
  for (const VariantInfo& variant : run.variants) {
    const Axes axes = axes_of(run, variant);
    const bool in = std::all_of(arms.begin(), arms.end(), [&](const auto& arm) {
      const auto at = axes.find(arm.first);
      return at != axes.end() && at->second == arm.second;
    });
    if (in) chosen.insert(variant.name);
  }
  if (chosen.empty()) return fail(Exit::usage, what_is_wrong(run, arms));
  return load_run(store, id, chosen);
}

// One more spelling of the same thing: "a | b".
void add_value(std::string& values, const std::string& value) {
  if ((" | " + values + " | ").find(" | " + value + " | ") == std::string::npos)
    values += " | " + value;
}

void add_variants(RunInfo& into, const RunInfo& run) {
  for (const VariantInfo& variant : run.variants) {
    const auto same = std::find_if(into.variants.begin(), into.variants.end(),
                                   [&](const VariantInfo& v) { return v.name == variant.name; });
    if (same == into.variants.end()) {
      into.variants.push_back(variant);
      continue;
    }
    for (const auto& [name, flag] : variant.flags) {
      const auto [at, fresh] = same->flags.try_emplace(name, flag);
      if (!fresh) add_value(at->second.value, flag.value);
    }
  }
}

RunInfo together(const std::vector<RunInfo>& runs) {
  RunInfo out = runs[0];
  for (size_t i = 1; i < runs.size(); ++i) {
    const RunInfo& run = runs[i];
    add_value(out.provenance, run.provenance);
    add_variants(out, run);
    for (const auto& [key, values] : run.environment)
      out.environment[key].insert(values.begin(), values.end());
    out.environment_empty.insert(run.environment_empty.begin(), run.environment_empty.end());
    out.prompts.insert(run.prompts.begin(), run.prompts.end());
    out.cells += run.cells;
    out.failed += run.failed;
  }
  return out;
}

// What two runs of one side do not agree in, of all that could change a result. That a run has
// fewer prompts or variants, or does not know a detail, changes no record.
std::vector<Confounder> disagreement(const RunInfo& first, const RunInfo& other) {
  std::vector<Confounder> out = confounders(first, other, match_variants(first, other));
  std::erase_if(out, [](const Confounder& one) {
    return one.background || one.what == "variants" || one.a == kNotInThisRun ||
           one.b == kNotInThisRun;
  });
  return out;
}

void compare_runs(LoadedSide& side) {
  std::map<std::string, std::vector<std::string>> values;
  std::vector<std::string> order;
  std::map<std::string, int64_t> groups;  // what a run has otherwise than the first → its group
  for (const RunInfo& run : side.runs) {
    std::string otherwise;
    for (const Confounder& one : disagreement(side.runs[0], run)) {
      std::vector<std::string>& known = values[one.what];
      if (known.empty()) {
        order.push_back(one.what);
        known.push_back(one.a);
      }
      if (std::find(known.begin(), known.end(), one.b) == known.end()) known.push_back(one.b);
      otherwise += one.what + "=" + one.b + "\n";
    }
    const auto group = groups.try_emplace(otherwise, static_cast<int64_t>(groups.size())).first;
    side.groups[run.name] = group->second;
    if (side.incomparable.empty()) side.incomparable = other_model(side.runs[0], run);
  }
  for (const std::string& what : order) side.mixed.push_back({what, std::move(values[what])});
}

Result<LoadedSide> load_side(Store& store, const Side& side) {
  if (side.runs.empty()) return fail(Exit::usage, "a side of a diff has no run");
  LoadedSide out;
  std::set<int64_t> known;
  for (const int64_t id : side.runs) {
    if (!known.insert(id).second) continue;
    TRY_ASSIGN(RunInfo run, load_arms(store, id, side.arms));
    out.runs.push_back(std::move(run));
  }
  out.info = together(out.runs);
  compare_runs(out);
  return out;
}

// A run, or one of its arms, beside itself would agree in everything and prove nothing.
Result<> must_differ(const LoadedSide& a, const LoadedSide& b) {
  for (const RunInfo& run : a.runs) {
    const auto same = std::find_if(b.runs.begin(), b.runs.end(),
                                   [&](const RunInfo& other) { return other.id == run.id; });
    if (same == b.runs.end()) continue;
    std::set<std::string> names;
    for (const VariantInfo& variant : run.variants) names.insert(variant.name);
    for (const VariantInfo& variant : same->variants) {
      if (!names.contains(variant.name)) continue;
      return fail(Exit::usage, "both sides have " +
                                   (names.size() == 1 && same->variants.size() == 1
                                        ? "the run " + run.name
                                        : variant.name + " of " + run.name) +
                                   ", which would be compared with itself; arms of one run: " +
                                   run.name + "#AXIS=VALUE");
    }
  }
  return {};
}

void take_off(RunInfo& run, const Axes& arms, const RunInfo& other, const Axes& other_arms) {
  for (const auto& [axis, value] : arms) {
    const bool other_has = std::any_of(
        other.variants.begin(), other.variants.end(),
        [&, &name = axis](const VariantInfo& variant) { return variant.axes.contains(name); });
    if (other_has && !other_arms.contains(axis)) continue;
    for (VariantInfo& variant : run.variants) {
      variant.axes.erase(axis);
      variant.label = variant.axes.empty() ? "default" : text_of(variant.axes);
    }
  }
}

}  // namespace

Result<SideName> parse_side(std::string_view selector) {
  const size_t hash = selector.find('#');
  SideName out{std::string(selector.substr(0, hash)), {}};
  if (hash == std::string_view::npos) return out;
  std::string_view rest = selector.substr(hash + 1);
  std::string* last = nullptr;
  while (true) {
    const size_t comma = rest.find(',');
    const std::string_view piece = rest.substr(0, comma);
    const size_t equals = piece.find('=');
    if (equals != std::string_view::npos && equals > 0) {
      const auto [at, fresh] =
          out.arms.try_emplace(std::string(piece.substr(0, equals)), piece.substr(equals + 1));
      if (!fresh) {
        return fail(Exit::usage, "`" + printable(selector, 200) + "` chooses a value of `" +
                                     printable(at->first) + "` twice");
      }
      last = &at->second;
    } else if (last != nullptr && equals == std::string_view::npos) {
      last->append(",").append(piece);
    } else {
      return fail(Exit::usage, "`" + printable(selector, 200) +
                                   "`: AXIS=VALUE is wanted after the #, got `" + printable(piece) +
                                   "`");
    }
    if (comma == std::string_view::npos) return out;
    rest.remove_prefix(comma + 1);
  }
}

Result<SidePair> load_sides(Store& store, const Side& a, const Side& b) {
  TRY_ASSIGN(LoadedSide side_a, load_side(store, a));
  TRY_ASSIGN(LoadedSide side_b, load_side(store, b));
  TRY(must_differ(side_a, side_b));
  const RunInfo whole_a = side_a.info;
  take_off(side_a.info, a.arms, side_b.info, b.arms);
  take_off(side_b.info, b.arms, whole_a, a.arms);
  return SidePair{std::move(side_a), std::move(side_b)};
}

bool other_prompt(const SidePair& sides, const std::string& prompt) {
  const RunInfo* first = nullptr;
  for (const LoadedSide* side : {&sides.a, &sides.b}) {
    for (const RunInfo& run : side->runs) {
      if (!run.prompts.contains(prompt)) continue;
      if (first == nullptr) first = &run;
      if (other_prompt(*first, run, prompt)) return true;
    }
  }
  return false;
}

}  // namespace greta::store
