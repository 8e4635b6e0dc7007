#pragma once
// A metric's history as a table and as a chart.

#include <string>

#include "plot/chart.h"
#include "store/metric_history.h"

namespace greta::runner {

// For people: the columns that say something here, figures in few digits.
store::Table history_table(const store::History& history);
// For programs: always the same columns, figures in full.
store::Table history_rows(const store::History& history);
// A sentence for every place where timings went over to another level; lines with their breaks.
std::string changes_text(const store::History& history);
// `point`: run, commit, milestone, day.
Chart history_chart(const store::History& history, const std::string& point);

}  // namespace greta::runner
