#include "spec/matrix.h"

#include <algorithm>
#include <set>

#include "contract/text.h"
#include "spec/spec_matrix.h"

namespace greta::runner {
namespace {

using Point = std::map<std::string, std::string>;

tl::unexpected<Error> matrix_error(const Spec& spec, const std::string& path, std::string message) {
  Error error{.message = std::move(message), .file = spec.file.string()};
  if (const auto place = spec.places.find(path); place != spec.places.end()) {
    error.file = place->second.file;
    error.line = place->second.line;
    error.column = place->second.column;
  }
  return tl::unexpected<Error>(std::move(error));
}

// All points, the last axis fastest.
Result<std::vector<Point>> unroll(const Spec& spec) {
  size_t count = 1;
  for (const auto& [axis, values] : spec.matrix) {
    if (values.empty()) {
      return matrix_error(spec, "matrix." + axis, "`matrix." + axis + "` has no values");
    }
    if (count > kMostCells / values.size()) {
      return matrix_error(spec, "matrix." + axis,
                          "the matrix has more than " + std::to_string(kMostCells) + " points");
    }
    count *= values.size();
  }
  std::vector<Point> points = {Point{}};
  for (const auto& [axis, values] : spec.matrix) {
    std::vector<Point> longer;
    longer.reserve(points.size() * values.size());
    for (const Point& point : points) {
      for (const std::string& value : values) longer.emplace_back(point)[axis] = value;
    }
    points = std::move(longer);
  }
  return points;
}

// Which points any of the patterns matches. A pattern that matches none is a slip.
Result<std::vector<bool>> match(const Spec& spec, const std::string& key,
                                const std::vector<Point>& patterns,
                                const std::vector<Point>& points) {
  std::vector<bool> matched(points.size());
  for (size_t p = 0; p < patterns.size(); ++p) {
    bool any = false;
    for (size_t i = 0; i < points.size(); ++i) {
      if (!point_matches(points[i], patterns[p])) continue;
      any = true;
      matched[i] = true;
    }
    if (!any) {
      const std::string path = key + "[" + std::to_string(p) + "]";
      return matrix_error(spec, path, "`" + path + "` matches no point of the matrix");
    }
  }
  return matched;
}

void apply_axis(const Spec& spec, const std::string& axis, const std::string& value,
                Variant& variant) {
  if (axis == kEngineAxis) {
    while (spec.engines.at(variant.engine).name != value) ++variant.engine;
    for (const auto& [flag, set] : spec.engines[variant.engine].flags) variant.flags[flag] = set;
  } else if (axis == "decode.backend") {
    variant.decode.backend = value;
  } else if (axis == "decode.numerics") {
    variant.decode.numerics = value;
  } else if (axis == "decode.kv_type") {
    variant.decode.kv_type = value;
  } else if (axis == "decode.threads") {
    variant.decode.threads = std::stoll(value);  // checked when the spec was read
  } else {
    variant.flags[axis] = value;
  }
}

}  // namespace

std::string variant_name(const Spec& spec, const Point& axes) {
  // An axis of one value tells no variants apart.
  const bool any_varies = std::any_of(spec.matrix.begin(), spec.matrix.end(),
                                      [](const auto& axis) { return axis.second.size() > 1; });
  std::string name;
  for (const auto& [axis, values] : spec.matrix) {
    if (any_varies && values.size() == 1) continue;
    name += (name.empty() ? "" : ",") + axis + "=" + axes.at(axis);
  }
  return name.empty() ? "default" : name;
}

bool point_matches(const Point& point, const Point& pattern) {
  return std::all_of(pattern.begin(), pattern.end(), [&](const auto& wanted) {
    const auto value = point.find(wanted.first);
    return value != point.end() && value->second == wanted.second;
  });
}

Result<std::vector<Variant>> expand_variants(const Spec& spec) {
  TRY_ASSIGN(const std::vector<Point> points, unroll(spec));
  TRY_ASSIGN(const std::vector<bool> included, match(spec, "include", spec.include, points));
  TRY_ASSIGN(const std::vector<bool> excluded, match(spec, "exclude", spec.exclude, points));
  std::vector<Variant> variants;
  std::set<std::string> names;
  for (size_t i = 0; i < points.size(); ++i) {
    if ((!spec.include.empty() && !included[i]) || excluded[i]) continue;
    Variant variant{.engine = 0,
                    .name = variant_name(spec, points[i]),
                    .axes = points[i],
                    .flags = spec.flags,
                    .decode = spec.decode};
    if (!names.insert(variant.name).second) {
      return matrix_error(spec, "matrix",
                          "variant `" + printable(variant.name) + "` is there twice");
    }
    for (const auto& [axis, value] : points[i]) apply_axis(spec, axis, value, variant);
    variants.push_back(std::move(variant));
  }
  if (variants.empty()) {
    return matrix_error(spec, spec.exclude.empty() ? "include[0]" : "exclude[0]",
                        "`include` and `exclude` leave no variant");
  }
  return variants;
}

}  // namespace greta::runner
