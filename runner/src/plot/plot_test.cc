// Charts: their axes, as text and as SVG.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "plot/svg_plot.h"
#include "plot/terminal_plot.h"

namespace greta::runner {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Chart chart_of(const std::vector<double>& values) {
  Chart chart{.title = "readout.gap",
              .description = "what is to be seen",
              .value_name = "max, nats",
              .place_name = "by run",
              .places = {},
              .series = {{.name = "", .points = {}}},
              .changes = {}};
  for (const double value : values) {
    const size_t place = chart.places.size();
    chart.places.push_back("run" + std::to_string(place));
    chart.series[0].points.push_back(
        {.place = place, .value = value, .recorded = false, .low = {}, .high = {}, .label = "l"});
  }
  return chart;
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Scale, TicksAreRoundAndHoldAllValues) {
  struct Case {
    std::vector<double> values;
    double low, high;
    bool logarithmic;
  };
  const Case cases[] = {
      {{0, 10}, 0, 10, false},     {{1.2, 1.9}, 1.2, 2, false},
      {{-3, 7}, -4, 8, false},     {{5}, 2, 8, false},
      {{0}, -1, 1, false},         {{1, 1000}, 0, 1000, false},
      {{1, 1001}, 1, 1e4, true},   {{2e-7, 0.3}, 1e-7, 1, true},
      {{0, 1e9}, 0, 1e9, false},   {{-1, 1e9}, -2e8, 1e9, false},
      {{kNaN, 1, 2}, 1, 2, false},
  };
  for (const Case& test : cases) {
    const Scale scale = scale_of(chart_of(test.values));
    EXPECT_NEAR(scale.low, test.low, 1e-9 * std::abs(test.high)) << test.values[0];
    EXPECT_NEAR(scale.high, test.high, 1e-9 * std::abs(test.high)) << test.values[0];
    EXPECT_EQ(scale.logarithmic, test.logarithmic) << test.values[0];
    EXPECT_GE(scale.ticks.size(), 2U);
    EXPECT_LE(scale.ticks.size(), 9U);
    for (const double tick : scale.ticks) {
      EXPECT_GE(scale.part(tick), 0);
      EXPECT_LE(scale.part(tick), 1);
    }
  }
  const double huge = std::numeric_limits<double>::max();
  EXPECT_NEAR(scale_of(chart_of({-huge, huge})).part(0), 0.5, 1e-9);
  EXPECT_NEAR(scale_of(chart_of({1e-9, 1})).part(1e-3), 6.0 / 9, 1e-9);
}

TEST(TerminalPlot, Ascii) {
  const TerminalStyle style{.width = 30, .height = 5, .unicode = false};
  EXPECT_EQ(terminal_plot(chart_of({0, 4, 2}), style),
            "readout.gap\n"
            "max, nats\n"
            "4 |             *\n"
            "3 |\n"
            "2 |                          *\n"
            "1 |\n"
            "0 |*\n"
            "  +---------------------------\n"
            "   run0                   run2\n");
}

TEST(TerminalPlot, WhatIsNotFiniteStandsAtTheEdge) {
  const TerminalStyle style{.width = 30, .height = 3, .unicode = false};
  Chart chart = chart_of({kNaN, 1, kInfinity, 2, -kInfinity});
  chart.series[0].points[1].recorded = true;
  chart.changes = {3};
  const std::string text = terminal_plot(chart, style);
  EXPECT_NE(text.find("   N           ^\n"), std::string::npos) << text;
  EXPECT_NE(text.find("v\n"), std::string::npos) << text;
  EXPECT_NE(text.find("N is NaN"), std::string::npos) << text;
  EXPECT_NE(text.find("o recorded"), std::string::npos) << text;
  EXPECT_EQ(count(text, "!"), 2U) << text;
  // Nothing but such values, or one place alone: still a plot.
  EXPECT_NE(terminal_plot(chart_of({kNaN, kNaN}), style).find("N"), std::string::npos);
  EXPECT_NE(terminal_plot(chart_of({3}), style).find("*"), std::string::npos);
  EXPECT_EQ(terminal_plot(chart_of({}), style), "");
}

TEST(TerminalPlot, UnicodeSeriesAndColour) {
  Chart chart = chart_of({1, 2, 3});
  chart.series[0].name = "p4_sys";
  chart.series.push_back({.name = "p5_ba", .points = chart.series[0].points});
  for (ChartPoint& point : chart.series[1].points) point.value = 4 - point.value;
  TerminalStyle style{.width = 40, .height = 6, .unicode = true, .colour = false};
  const std::string plain = terminal_plot(chart, style);
  EXPECT_NE(plain.find("A p4_sys"), std::string::npos) << plain;
  EXPECT_NE(plain.find("B p5_ba"), std::string::npos) << plain;
  EXPECT_NE(plain.find("┤"), std::string::npos) << plain;
  EXPECT_EQ(plain.find('\x1b'), std::string::npos) << plain;
  style.colour = true;
  EXPECT_NE(terminal_plot(chart, style).find("\x1b[31m"), std::string::npos);
  for (const size_t width : {1U, 40U, 160U}) {
    style = {.width = width, .height = 6, .unicode = false, .colour = false};
    std::istringstream lines(terminal_plot(chart, style));
    for (std::string line; std::getline(lines, line);)
      EXPECT_LE(line.size(), std::max<size_t>(width, 25)) << line;
  }
}

TEST(SvgPlot, IsCompleteAndEscaped) {
  Chart chart = chart_of({1, kNaN, 3, kInfinity});
  chart.title = "a < b & \"c\"\x01";
  chart.series[0].points[0].recorded = true;
  chart.series[0].points[2].low = 2;
  chart.series[0].points[2].high = 3.5;
  chart.series[0].points[2].label = "<run>";
  chart.changes = {2};
  const std::string svg = svg_plot(chart);
  EXPECT_TRUE(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=")) << svg;
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_NE(svg.find("<title id=\"title\">a &lt; b &amp; &quot;c&quot; </title>"),
            std::string::npos);
  EXPECT_NE(svg.find("<desc id=\"desc\">what is to be seen</desc>"), std::string::npos);
  EXPECT_NE(svg.find("<title>&lt;run&gt;</title>"), std::string::npos);
  EXPECT_EQ(count(svg, "<circle"), 2U) << "finite points";
  EXPECT_EQ(count(svg, ">NaN<"), 1U);
  EXPECT_EQ(count(svg, ">+∞<"), 1U);
  EXPECT_EQ(count(svg, "fill=\"none\" stroke=\"#0072b2\" stroke-width"), 1U);
  EXPECT_EQ(count(svg, "class=\"change\""), 1U);
  EXPECT_NE(svg.find("prefers-color-scheme: dark"), std::string::npos);
  EXPECT_NE(svg.find("hollow: recorded"), std::string::npos);
  EXPECT_EQ(count(svg, "<text"), count(svg, "</text>"));
  EXPECT_EQ(svg.find("nan"), std::string::npos) << "no coordinate is";
}

}  // namespace
}  // namespace greta::runner
