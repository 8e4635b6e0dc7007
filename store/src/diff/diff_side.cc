#include "diff/diff_side.h"

#include <algorithm>

#include "contract/text.h"

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

Result<RunInfo> load_side(Store& store, const Side& side) {
  TRY_ASSIGN(RunInfo run, load_run(store, side.run));
  if (side.arms.empty()) return run;
  std::set<std::string> chosen;
  for (const VariantInfo& variant : run.variants) {
    const Axes axes = axes_of(run, variant);
    const bool in = std::all_of(side.arms.begin(), side.arms.end(), [&](const auto& arm) {
      const auto at = axes.find(arm.first);
      return at != axes.end() && at->second == arm.second;
    });
    if (in) chosen.insert(variant.name);
  }
  if (chosen.empty()) return fail(Exit::usage, what_is_wrong(run, side.arms));
  return load_run(store, side.run, chosen);
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
  TRY_ASSIGN(RunInfo run_a, load_side(store, a));
  TRY_ASSIGN(RunInfo run_b, load_side(store, b));
  const RunInfo whole_a = run_a;
  take_off(run_a, a.arms, run_b, b.arms);
  take_off(run_b, b.arms, whole_a, a.arms);
  return SidePair{std::move(run_a), std::move(run_b)};
}

}  // namespace greta::store
