#pragma once
// A chart of series over ordered places (runs, commits, …), drawn as text or as SVG. A value that
// is not finite has a mark of its own; nothing is left out.

#include <optional>
#include <string>
#include <vector>

namespace greta::runner {

struct ChartPoint {
  size_t place = 0;  // index into Chart::places
  double value = 0;
  bool recorded = false;            // a figure of a past report: drawn hollow
  std::optional<double> low, high;  // an interval around the value
  std::string label;                // what a reader sees of it: "B3.21-…: 10.7"
};

struct ChartSeries {
  std::string name;  // "" where there is one alone
  std::vector<ChartPoint> points;
};

struct Chart {
  std::string title, description;  // plain text; the description says in words what is to be seen
  std::string value_name;          // with its unit: "max(gap)", "median(wall_s), s"
  std::string place_name;          // run, commit, …
  std::vector<std::string> places;
  std::vector<ChartSeries> series;
  std::vector<size_t> changes;  // places where a new level begins
};

// The axis of values. Logarithmic where all finite values are positive and span more than three
// decades.
struct Scale {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<double> ticks;  // from low to high
  // 0 at low, 1 at high.
  double part(double value) const;
};
Scale scale_of(const Chart& chart);
std::string tick_text(double value);

}  // namespace greta::runner
