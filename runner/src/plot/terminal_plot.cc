#include "plot/terminal_plot.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace greta::runner {
namespace {

constexpr size_t kNarrowest = 20;
constexpr int kAnsiColours[] = {34, 31, 32, 35, 36, 33};  // of ANSI terminals

struct PlotCell {
  unsigned dots = 0;  // braille: bits of U+2800
  std::string mark;   // stands before the dots
  int colour = 0;
};

size_t letters(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// At most so many letters, the last one … when something was cut.
std::string cut(const std::string& text, size_t most, bool unicode) {
  if (letters(text) <= most) return text;
  std::string out;
  size_t count = 0;
  for (const char c : text) {
    count += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
    if (count >= most) break;
    out += c;
  }
  return out + (unicode ? "…" : "~");
}

std::string braille(unsigned dots) {
  const unsigned code = 0x2800 + dots;
  return {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3f)),
          static_cast<char>(0x80 | (code & 0x3f))};
}

class Plot {
 public:
  Plot(const Chart& chart, const TerminalStyle& style)
      : chart_(chart), style_(style), scale_(scale_of(chart)) {
    for (const double tick : scale_.ticks) margin_ = std::max(margin_, tick_text(tick).size());
    width_ = std::max(style.width, kNarrowest + margin_ + 2) - margin_ - 2;
    cells_.assign(style.height, std::vector<PlotCell>(width_));
    edges_.assign(2, std::vector<PlotCell>(width_));
  }

  std::string text() {
    for (size_t i = 0; i < chart_.series.size(); ++i) draw(i);
    std::string out = chart_.title + "\n" + chart_.value_name +
                      (scale_.logarithmic ? ", logarithmic" : "") + "\n";
    if (used_[0]) out += std::string(margin_ + 2, ' ') + line(edges_[0]);
    for (size_t row = 0; row < cells_.size(); ++row) out += left(row) + line(cells_[row]);
    if (used_[1]) out += std::string(margin_ + 2, ' ') + line(edges_[1]);
    return out + places() + legend();
  }

 private:
  size_t column(size_t place, size_t columns) const {
    const size_t last = chart_.places.size() - 1;
    if (last == 0) return columns / 2;
    return (place * (columns - 1) + last / 2) / last;
  }
  size_t row(double value, size_t rows) const {
    return static_cast<size_t>(
        std::lround((1 - scale_.part(value)) * static_cast<double>(rows - 1)));
  }
  std::string mark(size_t series, bool recorded) const {
    if (chart_.series.size() > 1)
      return std::string(1, static_cast<char>((recorded ? 'a' : 'A') + series % 26));
    if (style_.unicode) return recorded ? "○" : "●";
    return recorded ? "o" : "*";
  }
  int colour(size_t series) const {
    return style_.colour && chart_.series.size() > 1
               ? kAnsiColours[series % std::size(kAnsiColours)]
               : 0;
  }

  void draw(size_t number) {
    const ChartSeries& series = chart_.series[number];
    const ChartPoint* before = nullptr;
    for (const ChartPoint& point : series.points) {
      if (!std::isfinite(point.value)) {
        const bool below = point.value < 0;
        PlotCell& cell = edges_[below ? 1 : 0][column(point.place, width_)];
        cell.mark = std::isnan(point.value) ? "N" : below ? "v" : "^";
        cell.colour = colour(number);
        used_[below ? 1 : 0] = true;
        continue;
      }
      if (before != nullptr && style_.unicode) connect(*before, point, colour(number));
      PlotCell& cell = cells_[row(point.value, cells_.size())][column(point.place, width_)];
      cell.mark = mark(number, point.recorded);
      cell.colour = colour(number);
      before = &point;
    }
  }

  // A line of dots, two a column and four a row.
  void connect(const ChartPoint& from, const ChartPoint& to, int colour) {
    constexpr unsigned kBits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    const auto x = [&](const ChartPoint& point) {
      return static_cast<long>(column(point.place, 2 * width_));
    };
    const auto y = [&](const ChartPoint& point) {
      return static_cast<long>(row(point.value, 4 * cells_.size()));
    };
    const long steps = std::max({std::labs(x(to) - x(from)), std::labs(y(to) - y(from)), 1L});
    for (long i = 0; i <= steps; ++i) {
      const auto at_x = static_cast<size_t>(x(from) + (x(to) - x(from)) * i / steps);
      const auto at_y = static_cast<size_t>(y(from) + (y(to) - y(from)) * i / steps);
      PlotCell& cell = cells_[at_y / 4][at_x / 2];
      cell.dots |= kBits[at_y % 4][at_x % 2];
      if (cell.mark.empty()) cell.colour = colour;
    }
  }

  // The tick that belongs to this row, and the axis.
  std::string left(size_t at) const {
    std::string label;
    for (const double tick : scale_.ticks)
      if (row(tick, cells_.size()) == at) label = tick_text(tick);
    const std::string axis = style_.unicode ? (label.empty() ? "│" : "┤") : "|";
    return std::string(margin_ - label.size(), ' ') + label + " " + axis;
  }

  static std::string line(const std::vector<PlotCell>& cells) {
    std::string out;
    size_t blanks = 0;
    int colour = 0;
    const auto change = [&](int to) {
      if (to == std::exchange(colour, to)) return;
      out += to == 0 ? "\x1b[0m" : "\x1b[" + std::to_string(to) + "m";
    };
    for (const PlotCell& cell : cells) {
      if (cell.mark.empty() && cell.dots == 0) {
        ++blanks;
        continue;
      }
      out.append(std::exchange(blanks, 0), ' ');
      change(cell.colour);
      out += cell.mark.empty() ? braille(cell.dots) : cell.mark;
    }
    change(0);
    return out + "\n";
  }

  // The axis of places, with the first and the last one's name.
  std::string places() const {
    std::string out = std::string(margin_ + 1, ' ') + (style_.unicode ? "└" : "+");
    for (size_t i = 0; i < width_; ++i) {
      const bool change = std::any_of(chart_.changes.begin(), chart_.changes.end(),
                                      [&](size_t place) { return column(place, width_) == i; });
      out += change ? (style_.unicode ? "┴" : "!") : style_.unicode ? "─" : "-";
    }
    const bool one = chart_.places.size() < 2;
    const std::string first =
        cut(chart_.places.front(), one ? width_ : width_ / 2 - 1, style_.unicode);
    const std::string last = one ? "" : cut(chart_.places.back(), width_ / 2 - 1, style_.unicode);
    const size_t gap = width_ - letters(first) - letters(last);
    return out + "\n" + std::string(margin_ + 2, ' ') + first +
           (one ? "" : std::string(gap, ' ') + last) + "\n";
  }

  std::string legend() const {
    std::string out;
    bool recorded = false;
    for (size_t i = 0; i < chart_.series.size(); ++i) {
      for (const ChartPoint& point : chart_.series[i].points) recorded |= point.recorded;
      if (chart_.series.size() > 1)
        out += "  " + mark(i, false) + " " + chart_.series[i].name + "\n";
    }
    if (recorded)
      out += chart_.series.size() > 1
                 ? "  small letters: recorded in a report, not run here\n"
                 : "  " + mark(0, true) + " recorded in a report, not run here\n";
    if (used_[0] || used_[1]) out += "  at the edge: N is NaN, ^ and v are infinite\n";
    if (!chart_.changes.empty())
      out += std::string("  ") + (style_.unicode ? "┴" : "!") + " a new level begins\n";
    return out;
  }

  const Chart& chart_;
  const TerminalStyle& style_;
  Scale scale_;
  size_t margin_ = 1, width_ = 0;
  std::vector<std::vector<PlotCell>> cells_, edges_;  // edges: above and below
  bool used_[2] = {false, false};
};

}  // namespace

std::string terminal_plot(const Chart& chart, const TerminalStyle& style) {
  if (chart.places.empty()) return {};
  return Plot(chart, style).text();
}

}  // namespace greta::runner
