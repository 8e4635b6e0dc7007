#pragma once
// A chart as one SVG document without scripts or outside parts.

#include "plot/chart.h"

namespace greta::runner {

// Readable on light and dark backgrounds; title and description are its text alternative, and every
// point has its label as a tooltip.
std::string svg_plot(const Chart& chart);

}  // namespace greta::runner
