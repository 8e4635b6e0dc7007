#pragma once
// The data sections of the report.

#include "report/report_writer.h"

namespace greta::store {

// Run, environment, flags, prompts, artefacts with their hashes.
Result<> write_methodology(ReportWriter& out, Language language);
// Kernels and arms, attention against its reference, prefill against decode, failed cells.
Result<> write_results(ReportWriter& out, Language language);
Result<> write_gates(ReportWriter& out, Language language);
Result<> write_baselines(ReportWriter& out, Language language);
Result<> write_lints(ReportWriter& out, Language language);

}  // namespace greta::store
