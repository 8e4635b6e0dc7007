#include "plot/svg_plot.h"

#include <array>
#include <cmath>
#include <cstdio>

#include "contract/xml.h"

namespace greta::runner {
namespace {

constexpr double kWidth = 900, kPlotHeight = 300;
constexpr double kLeft = 90, kRight = 20, kTop = 64, kBottom = 56;
constexpr double kLegendLine = 18;
constexpr size_t kMostPlaceLabels = 6, kMostPlaceLetters = 24;
// Colours of Okabe and Ito, which colour-blind readers tell apart; the yellow one is left out.
constexpr const char* kSvgColours[] = {"#0072b2", "#d55e00", "#009e73",
                                       "#cc79a7", "#56b4e9", "#e69f00"};

constexpr std::string_view kStyle =
    "<style>\n"
    "text { font: 12px system-ui, sans-serif; fill: #333 }\n"
    ".title { font-size: 15px; font-weight: 600 }\n"
    ".axis { stroke: #666; fill: none }\n"
    ".grid { stroke: #ddd }\n"
    ".change { stroke: #a33; stroke-dasharray: 4 3 }\n"
    ".page { fill: #fff }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  text { fill: #ddd }\n"
    "  .axis { stroke: #999 }\n"
    "  .grid { stroke: #444 }\n"
    "  .change { stroke: #f88 }\n"
    "  .page { fill: #1b1b1b }\n"
    "}\n"
    "</style>\n";

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

std::string attribute(const char* name, double value) {
  return std::string(" ") + name + "=\"" + number(value) + "\"";
}

std::string text_at(double x, double y, const std::string& more, const std::string& text) {
  return "<text" + attribute("x", x) + attribute("y", y) + more + ">" + xml_escaped(text) +
         "</text>\n";
}

std::string line_at(const char* type, double x1, double y1, double x2, double y2) {
  return std::string("<line class=\"") + type + "\"" + attribute("x1", x1) + attribute("y1", y1) +
         attribute("x2", x2) + attribute("y2", y2) + "/>\n";
}

std::string colour_of(size_t series) { return kSvgColours[series % std::size(kSvgColours)]; }

// Circles; those of series beyond the number of colours are squares, then diamonds. Hollow or
// filled; `inside` is what the element holds.
std::string shape_at(double x, double y, size_t series, bool hollow, const std::string& inside) {
  const size_t round = series / std::size(kSvgColours) % 3;
  const std::string rest = " stroke=\"" + colour_of(series) + "\" fill=\"" +
                           (hollow ? "none" : colour_of(series)) + "\">" + inside;
  if (round == 0) {
    return "<circle" + attribute("cx", x) + attribute("cy", y) + attribute("r", 3.5) + rest +
           "</circle>\n";
  }
  const std::string turn =
      round == 1 ? "" : " transform=\"rotate(45 " + number(x) + " " + number(y) + ")\"";
  return "<rect" + attribute("x", x - 3.5) + attribute("y", y - 3.5) + attribute("width", 7) +
         attribute("height", 7) + turn + rest + "</rect>\n";
}

// The end of a long name is what tells it from others.
std::string end_of(const std::string& text) {
  if (text.size() <= kMostPlaceLetters) return text;
  size_t at = text.size() - kMostPlaceLetters;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
  return "…" + text.substr(at);
}

class Drawing {
 public:
  explicit Drawing(const Chart& chart) : chart_(chart), scale_(scale_of(chart)) {}

  std::string text() const {
    const bool legend = chart_.series.size() > 1;
    const double height = kTop + kPlotHeight + kBottom +
                          kLegendLine * static_cast<double>((legend ? chart_.series.size() : 0) +
                                                            (recorded() ? 1 : 0));
    std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(kWidth) +
                      " " + number(height) + "\" role=\"img\" aria-labelledby=\"title desc\">\n" +
                      "<title id=\"title\">" + xml_escaped(chart_.title) + "</title>\n" +
                      "<desc id=\"desc\">" + xml_escaped(chart_.description) + "</desc>\n" +
                      std::string(kStyle) +
                      "<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n";
    out += text_at(kLeft, 24, " class=\"title\"", chart_.title);
    out += text_at(kLeft, 44, "", chart_.value_name + (scale_.logarithmic ? ", logarithmic" : ""));
    out += axes();
    for (size_t i = 0; i < chart_.series.size(); ++i) out += series(i);
    return out + key() + "</svg>\n";
  }

 private:
  double x(size_t place) const {
    const double width = kWidth - kLeft - kRight;
    if (chart_.places.size() < 2) return kLeft + width / 2;
    return kLeft +
           width * static_cast<double>(place) / static_cast<double>(chart_.places.size() - 1);
  }
  double y(double value) const { return kTop + kPlotHeight * (1 - scale_.part(value)); }
  bool recorded() const {
    for (const ChartSeries& series : chart_.series)
      for (const ChartPoint& point : series.points)
        if (point.recorded) return true;
    return false;
  }

  std::string axes() const {
    std::string out;
    for (const double tick : scale_.ticks) {
      out += line_at("grid", kLeft, y(tick), kWidth - kRight, y(tick));
      out += text_at(kLeft - 8, y(tick) + 4, " text-anchor=\"end\"", tick_text(tick));
    }
    const double bottom = kTop + kPlotHeight;
    out += line_at("axis", kLeft, kTop, kLeft, bottom);
    out += line_at("axis", kLeft, bottom, kWidth - kRight, bottom);
    for (const size_t place : chart_.changes)
      out += line_at("change", x(place), kTop, x(place), bottom);
    const size_t count = chart_.places.size();
    const size_t labels = std::min(count, kMostPlaceLabels);
    for (size_t i = 0; i < labels; ++i) {
      const size_t place = labels < 2 ? 0 : i * (count - 1) / (labels - 1);
      const char* const anchor = labels > 1 && i == 0            ? "start"
                                 : labels > 1 && i == labels - 1 ? "end"
                                                                 : "middle";
      out += line_at("axis", x(place), bottom, x(place), bottom + 5);
      // Two rows, so that long names do not run into each other.
      out += text_at(x(place), bottom + 20 + static_cast<double>(i % 2) * 15,
                     std::string(" text-anchor=\"") + anchor + "\"", end_of(chart_.places[place]));
    }
    return out + text_at(kWidth - kRight, bottom + 50, " text-anchor=\"end\"", chart_.place_name);
  }

  std::string series(size_t index) const {
    std::string path, marks;
    bool drawing = false;
    for (const ChartPoint& point : chart_.series[index].points) {
      marks += mark(point, index);
      if (!std::isfinite(point.value)) {
        drawing = false;
        continue;
      }
      path += (drawing ? " L" : " M") + number(x(point.place)) + " " + number(y(point.value));
      drawing = true;
    }
    return "<path d=\"" + (path.empty() ? path : path.substr(1)) + "\" fill=\"none\" stroke=\"" +
           colour_of(index) + "\" stroke-width=\"1.5\"/>\n" + marks;
  }

  std::string mark(const ChartPoint& point, size_t series) const {
    const double at = x(point.place);
    const std::string title = "<title>" + xml_escaped(point.label) + "</title>";
    if (!std::isfinite(point.value)) {
      const bool below = point.value < 0;
      const char* const sign = std::isnan(point.value) ? "NaN" : below ? "−∞" : "+∞";
      return "<text" + attribute("x", at) +
             attribute("y", below ? kTop + kPlotHeight - 4 : kTop + 10) +
             " text-anchor=\"middle\" style=\"fill: " + colour_of(series) + "\">" + sign + title +
             "</text>\n";
    }
    std::string out;
    if (point.low && point.high) {
      out += "<line stroke=\"" + colour_of(series) + "\"" + attribute("x1", at) +
             attribute("y1", y(*point.low)) + attribute("x2", at) +
             attribute("y2", y(*point.high)) + "/>\n";
    }
    return out + shape_at(at, y(point.value), series, point.recorded, title);
  }

  std::string key() const {
    std::string out;
    double at = kTop + kPlotHeight + kBottom + 6;
    if (chart_.series.size() > 1) {
      for (size_t i = 0; i < chart_.series.size(); ++i, at += kLegendLine) {
        out += shape_at(kLeft + 6, at - 4, i, false, "");
        out += text_at(kLeft + 18, at, "", chart_.series[i].name);
      }
    }
    if (recorded()) out += text_at(kLeft, at, "", "hollow: recorded in a report, not run here");
    return out;
  }

  const Chart& chart_;
  Scale scale_;
};

}  // namespace

std::string svg_plot(const Chart& chart) { return Drawing(chart).text(); }

}  // namespace greta::runner
