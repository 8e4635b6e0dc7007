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
      {"1.234", "\"1.234\"", ""},
      {"-12.345 ms", "\"-12.345 ms\"", ""},
      {"1.234.567", "1234567", "1234567"},
      {"0.958", "0.958", "0.958"},
      {"1.234e-05", "1.234e-05", "1.234e-05"},
      {"1234.567", "1234.567", "1234.567"},
      {"0.123.456", "\"0.123.456\"", ""},
      {"12.34.567", "\"12.34.567\"", ""},
      {"1.-24", "\"1.-24\"", ""},
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
  EXPECT_EQ(report_cell("0,5 nats").value, 0.5);
  EXPECT_EQ(report_cell("0,5 nats").unit, "nats");
}

TEST(ReportCells, WhatPointAndCommaMeanIsProvedByOthers) {
  // The other cells of a table, those around it, and what 1.024 and 1,024 are there.
  const std::tuple<std::vector<std::string>, std::vector<std::string>, const char*, const char*>
      cases[] = {
          {{}, {}, "\"1.024\"", "\"1,024\""},
          {{"1.234,5"}, {}, "1024", "1.024"},
          {{"1,234.5"}, {}, "1.024", "1024"},
          {{"16.384.000"}, {}, "1024", "\"1,024\""},
          {{"12,345,678"}, {}, "\"1.024\"", "1024"},
          {{"0.123"}, {}, "1.024", "\"1,024\""},
          {{"1.5 ms"}, {}, "1.024", "\"1,024\""},
          {{"12.34 ± 0.1"}, {}, "1.024", "\"1,024\""},
          {{"0.95866"}, {}, "1.024", "\"1,024\""},
          {{"6.579e-04"}, {}, "1.024", "\"1,024\""},
          {{"0,5"}, {}, "\"1.024\"", "1.024"},
          {{"12.345", "7", "B3.21", "v1.2", "5."}, {}, "\"1.024\"", "\"1,024\""},
          {{"1.5", "1.234,5"}, {}, "\"1.024\"", "\"1,024\""},  // they contradict each other
          {{"1.5", "1,5"}, {}, "\"1.024\"", "\"1,024\""},
          {{}, {"1.5"}, "1.024", "\"1,024\""},
          {{"1.234,5"}, {"1.5"}, "1024", "1.024"},  // the nearer ones say
          {{"0,5"}, {"1.5"}, "\"1.024\"", "1.024"},
      };
  for (const auto& [near, far, point, comma] : cases) {
    MarkProofs table, around;
    for (const std::string& cell : near) table.add(report_cell(cell).proves);
    for (const std::string& cell : far) around.add(report_cell(cell).proves);
    const NumberMarks marks = marks_of(table, around);
    const std::string name = near.empty() ? "" : near[0];
    EXPECT_EQ(report_cell("1.024", marks).value.dump(), point) << name;
    EXPECT_EQ(report_cell("1,024", marks).value.dump(), comma) << name;
  }
}

TEST(ReportCells, ValuesWithTheirSpread) {
  const std::tuple<const char*, const char*, const char*, const char*, const char*> cases[] = {
      {"1234.56 ± 7.89", "1234.56", "", "7.89", ""},
      {"20.1 +- 0.3 ms", "20.1", "ms", "0.3", "ms"},
      {"20.1 ms +/- 0.3 ms", "20.1", "ms", "0.3", "ms"},
      {"(20.1 ± 0.3) ms", "20.1", "ms", "0.3", "ms"},
      {"20.1 ms ± 5 %", "20.1", "ms", "5", "percent"},
      {"95 % ± 1 %", "95", "percent", "1", "percent"},
  };
  for (const auto& [text, value, unit, spread, of_spread] : cases) {
    const ReportCell cell = report_cell(text);
    ASSERT_TRUE(cell.spread) << text;
    EXPECT_EQ(cell.printed, value) << text;
    EXPECT_EQ(cell.unit, unit) << text;
    EXPECT_EQ(cell.spread->printed, spread) << text;
    EXPECT_EQ(cell.spread->unit, of_spread) << text;
  }
  for (const char* text : {"±5", "+-5", "1 ± x", "1.024 ± 0.1", "5 ± -1", "95 ± 1 %", "(1 ± 2) zz"})
    EXPECT_EQ(report_cell(text).value, text);
}

TEST(ReportCells, BytesOrBillions) {
  EXPECT_EQ(unit_under("B", "params"), "billion");
  EXPECT_EQ(unit_under("M", "n_params"), "million");
  EXPECT_EQ(unit_under("B", "model size"), "bytes");
  EXPECT_EQ(unit_under("B", "x"), "");
  EXPECT_EQ(unit_under("M", "size"), "");
  EXPECT_EQ(unit_under("B", "size of params"), "");
  EXPECT_EQ(unit_under("ms", "x"), "ms");
}

}  // namespace
}  // namespace greta::runner
