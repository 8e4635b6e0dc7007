// SCHEMA.md against a new store: every view and column that the page names exists, and the other
// way round.

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "ingest/bundle_fixture.h"
#include "tables/views.h"

namespace greta::store {
namespace {

std::string page() {
  std::ifstream in(STORE_DIR "/SCHEMA.md");
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// "### name" and the first cells of the table below it.
std::map<std::string, std::vector<std::string>> documented_views() {
  std::map<std::string, std::vector<std::string>> out;
  std::istringstream in(page());
  std::string view;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("#")) view = line.starts_with("### ") ? line.substr(4) : "";
    if (view.empty() || !line.starts_with("| `")) continue;
    out[view].push_back(line.substr(3, line.find('`', 3) - 3));
  }
  return out;
}

using SchemaPage = StoreFixture;

TEST_F(SchemaPage, ViewsAndTheirColumns) {
  const auto documented = documented_views();
  const auto& names = fixed_view_names();
  EXPECT_EQ(documented.size(), names.size());
  for (const std::string& view : names) {
    ASSERT_TRUE(documented.contains(view)) << view;
    std::string columns;
    for (const std::string& column : documented.at(view))
      columns += (columns.empty() ? "" : "\n") + column;
    EXPECT_EQ(ask("SELECT name FROM pragma_table_info('" + view + "')"), columns) << view;
  }
}

TEST_F(SchemaPage, ContextColumnsOfAKind) {
  std::string columns;
  for (const std::string_view column : kContextColumns) {
    columns += (columns.empty() ? "" : "\n") + std::string(column);
    EXPECT_NE(page().find("| `" + std::string(column) + "` |"), std::string::npos) << column;
  }
  EXPECT_EQ(ask("SELECT name FROM pragma_table_info('readout') LIMIT " +
                std::to_string(std::size(kContextColumns))),
            columns);
}

TEST_F(SchemaPage, Tables) {
  const std::string tables = page().substr(page().find("## Tables"));
  const auto rows = store().query(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'rec\\_%' ESCAPE "
      "'\\'");
  ASSERT_TRUE(rows);
  for (const auto& row : rows->rows)
    EXPECT_NE(tables.find("`" + row[0].text + "`"), std::string::npos) << row[0].text;
}

// Every other view is that of a kind, and every kind has one.
TEST_F(SchemaPage, NothingElseIsThere) {
  TestBundle bundle;
  bundle.files["out/runs.jsonl"] = {.bytes = "{\"v\":1}\n"};
  import(bundle);
  std::string fixed;
  for (const std::string& name : fixed_view_names()) fixed += ",'" + name + "'";
  EXPECT_EQ(ask("SELECT name FROM sqlite_master WHERE type = 'view' AND name NOT IN (''" + fixed +
                ") AND name NOT IN (SELECT \"view\" FROM kinds)"),
            "");
  EXPECT_EQ(
      ask("SELECT \"view\" FROM kinds WHERE \"view\" NOT IN (SELECT name FROM sqlite_master WHERE"
          " type = 'view') OR \"table\" NOT IN (SELECT name FROM sqlite_master)"),
      "");
}

}  // namespace
}  // namespace greta::store
