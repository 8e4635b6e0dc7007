#pragma once
// A chart in a terminal.

#include "plot/chart.h"

namespace greta::runner {

struct TerminalStyle {
  size_t width = 80;
  size_t height = 12;   // rows of the plot itself
  bool unicode = true;  // braille lines and round marks, else ASCII marks alone
  bool colour = false;  // series by colour as well
};

// Lines with their breaks. One series: ● (recorded ○), in ASCII * (o). Several: A, B, … (recorded
// a, b, …), explained below the plot. N is NaN, ^ and v are infinities, at the edge.
std::string terminal_plot(const Chart& chart, const TerminalStyle& style);

}  // namespace greta::runner
