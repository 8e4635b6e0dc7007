#include "past/report_cell.h"

#include <gtest/gtest.h>

namespace greta::runner {
namespace {

TEST(ReportCells, NumbersWordsAndNothing) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"6.00923e-11", "6.00923e-11", "6.00923e-11"},
      {" 6.57923e-04 ", "0.000657923", "6.57923e-04"},
      {"0", "0", "0"},
      {"127158", "127158", "127158"},
      {"14695981039346656037", "14695981039346656037", "14695981039346656037"},
      {"true", "true", ""},
      {"FALSE", "false", ""},
      {"", "null", ""},
      {"—", "null", ""},
      {"-", "null", ""},
      {"n/a", "null", ""},
      {"nan", "\"NaN\"", ""},
      {"-inf", "\"-Infinity\"", ""},
      {"OK", "\"OK\"", ""},
      {"−2.5e-3", "-0.0025", "-2.5e-3"},
      {".5", "0.5", "0.5"},
      {"-.5", "-0.5", "-0.5"},
      {"5.", "5.0", "5.0"},
      {"1,5", "1.5", "1.5"},
      {"−0,123", "-0.123", "-0.123"},
      {"1.234,56", "1234.56", "1234.56"},
      {"1,234.5", "1234.5", "1234.5"},
      {"12,345,678", "12345678", "12345678"},
      {"12345,678", "12345.678", "12345.678"},
      {"2×10⁻³", "0.002", "2e-3"},
      {"1,5 · 10^-3", "0.0015", "1.5e-3"},
      {"-2 x 10^4", "-20000.0", "-2e4"},
      {"−inf", "\"-Infinity\"", ""},
      {"1,234", "\"1,234\"", ""},
      {"1,23,4", "\"1,23,4\"", ""},
      {"1.5,2", "\"1.5,2\"", ""},
      {"2×103", "\"2×103\"", ""},
      {"1e400", "\"1e400\"", ""},
      {".", "\".\"", ""},
      {"-.e5", "\"-.e5\"", ""},
      {"1,", "\"1,\"", ""},
      {"007", "\"007\"", ""},
      {"2026-02-03", "\"2026-02-03\"", ""},
      {"12 of 20", "\"12 of 20\"", ""},
  };
  for (const auto& [text, value, printed] : cases) {
    const ReportCell cell = report_cell(text);
    EXPECT_EQ(cell.value.dump(), value) << text;
    EXPECT_EQ(cell.printed, printed) << text;
  }
  const ReportCell time = report_cell("> 180.5 s");
  EXPECT_EQ(time.value, 180.5);
  EXPECT_EQ(time.unit, "s");
  EXPECT_EQ(time.bound, "more_than");
  EXPECT_TRUE(report_cell("~20 tok/s").approx);
  EXPECT_EQ(report_cell("95 %").unit, "percent");
  EXPECT_EQ(report_cell("2×10⁻³ s").value, 0.002);
  EXPECT_EQ(report_cell("2×10⁻³ s").unit, "s");
}

}  // namespace
}  // namespace greta::runner
