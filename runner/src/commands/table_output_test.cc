#include "commands/table_output.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

namespace greta::runner {
namespace {

using store::Value;

Value text(std::string t) {
  return {.type = Value::Type::text, .integer = 0, .real = 0, .text = std::move(t)};
}
Value real(double r) { return {.type = Value::Type::real, .integer = 0, .real = r, .text = {}}; }
Value integer(int64_t i) {
  return {.type = Value::Type::integer, .integer = i, .real = 0, .text = {}};
}

store::Table sample() {
  return {.columns = {"name", "x", "x"},
          .rows = {{text("a|b, \"c\"\n"), real(0.1), integer(7)},
                   {text("é"), real(1e-300), Value{}},
                   {text(""), real(-HUGE_VAL), integer(-12)}}};
}

TEST(TableOutput, Text) {
  EXPECT_EQ(table_text(sample(), TableFormat::text),
            "name                x    x\n"
            "──────────  ─────────  ───\n"
            "a|b, \"c\"\\n        0.1    7\n"
            "é              1e-300\n"
            "            -Infinity  -12\n");
}

TEST(TableOutput, TextKeepsTerminalsSafe) {
  const store::Table table{.columns = {"a"}, .rows = {{text("\x1b[31mred\x07")}}};
  EXPECT_EQ(table_text(table, TableFormat::text).find('\x1b'), std::string::npos);
}

// One long text would push everything else out of sight; programs get all of it.
TEST(TableOutput, LongTextsAreShortenedForPeople) {
  const auto rows = [](const std::string& cell, TableFormat format) {
    return table_text({.columns = {"a", "b"}, .rows = {{text(cell), integer(7)}}}, format);
  };
  const std::string fits(200, 'x'), longer(5000, 'x');
  EXPECT_NE(rows(fits, TableFormat::text).find("\n" + fits + "  7\n"), std::string::npos);
  EXPECT_NE(rows(longer, TableFormat::text)
                .find("\n" + std::string(160, 'x') + "… (5000 characters)  7\n"),
            std::string::npos);
  EXPECT_LT(rows(longer, TableFormat::text).size(), 1000U);
  std::string accents;
  for (int i = 0; i < 201; ++i) accents += "é";
  EXPECT_NE(rows(accents, TableFormat::text)
                .find("\n" + accents.substr(0, 320) + "… (201 characters)  7\n"),
            std::string::npos);
  EXPECT_LT(table_text({.columns = {longer}, .rows = {}}, TableFormat::text).size(), 1000U);
  for (const TableFormat format :
       {TableFormat::csv, TableFormat::markdown, TableFormat::json, TableFormat::jsonl})
    EXPECT_NE(rows(longer, format).find(longer), std::string::npos);
}

TEST(TableOutput, Csv) {
  EXPECT_EQ(table_text(sample(), TableFormat::csv),
            "name,x,x\n\"a|b, \"\"c\"\"\n\",0.1,7\né,1e-300,\n\"\",-Infinity,-12\n");
}

TEST(TableOutput, Markdown) {
  EXPECT_EQ(
      table_text(sample(), TableFormat::markdown),
      "| name | x | x |\n| --- | --- | --- |\n| a\\|b, \"c\"\\n | 0.1 | 7 |\n| é | 1e-300 |  |\n"
      "|  | -Infinity | -12 |\n");
}

TEST(TableOutput, Json) {
  EXPECT_EQ(table_text(sample(), TableFormat::json),
            "[\n  {\"name\": \"a|b, \\\"c\\\"\\n\", \"x\": 0.1, \"x_2\": 7},\n"
            "  {\"name\": \"é\", \"x\": 1e-300, \"x_2\": null},\n"
            "  {\"name\": \"\", \"x\": \"-Infinity\", \"x_2\": -12}\n]\n");
  EXPECT_EQ(table_text({.columns = {"a"}, .rows = {}}, TableFormat::json), "[]\n");
  EXPECT_EQ(
      table_text({.columns = {"a"}, .rows = {{integer(1)}, {integer(2)}}}, TableFormat::jsonl),
      "{\"a\": 1}\n{\"a\": 2}\n");
}

TEST(TableOutput, RealsReadBack) {
  for (const double value : {0.1, 1.0 / 3, 6.00923e-11, 5e-324, 1.7976931348623157e308, 1e22})
    EXPECT_EQ(std::strtod(to_text(real(value)).c_str(), nullptr), value);
  EXPECT_EQ(to_text(real(1)), "1");
}

TEST(TableOutput, StopsWhenNobodyReads) {
  int parts = 0;
  const auto writer = table_writer(TableFormat::csv, [&](std::string_view) { return ++parts < 2; });
  EXPECT_TRUE(writer->columns({"a"}));
  EXPECT_FALSE(writer->row({integer(1)}));
}

}  // namespace
}  // namespace greta::runner
