// Runs out of one store and into another.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ingest/bundle_fixture.h"
#include "store/gates.h"
#include "tables/store_impl.h"

namespace greta::store {
namespace {

using nlohmann::json;

class Transfer : public StoreFixture {
 protected:
  // Two cells of one bundle, one that failed and left nothing, two gates.
  std::string run_with_everything(bool accepted = false) {
    TestBundle bundle;
    bundle.prompts = {"p1", "p2"};
    bundle.files["out/k.jsonl"] = {
        .bytes = "{\"request\":\"p1\",\"v\":1}\n{\"request\":\"p2\",\"v\":2}\n{\"v\":3}\n"};
    const auto identity = [&](const std::string& prompt) {
      return "id-" + bundle.variant + prompt + std::to_string(bundle.salt);
    };
    bundle_ = *store().ingest_bundle(write_bundle(bundle));
    RunStart start;
    start.milestone = "B1";
    start.title_json = R"({"en":"T"})";
    start.spec_path = "x.yaml";
    start.spec_text = "schema: 1\n";
    start.resolved_json = R"({"commit":"abc"})";
    start.baseline = {"B0@recorded"};
    start.cells_planned = 3;
    const std::string run = *store().begin_run(start);
    CellRow cell{.identity = identity("p1"),
                 .variant = "X=1",
                 .variant_json = R"({"X":"1"})",
                 .prompt = "p1",
                 .repeat = 0,
                 .status = "ok",
                 .reason = {},
                 .bundle = bundle_,
                 .request = "p1",
                 .cached = true};
    EXPECT_TRUE(store().add_cell(run, cell));
    cell.prompt = cell.request = "p2";
    cell.identity = identity("p2");
    EXPECT_TRUE(store().add_cell(run, cell));
    cell.repeat = 1;
    cell.status = "failed";
    cell.reason = "the engine said \xff\x01";
    cell.bundle.clear();
    EXPECT_TRUE(store().add_cell(run, cell));
    Gate gate;
    gate.id = "g";
    gate.form = Gate::Form::sql;
    gate.sql = "SELECT v > 0 FROM k";
    Gate none = gate;
    none.id = "none";
    none.sql = "SELECT 1 FROM k WHERE v > 9";
    EXPECT_TRUE(evaluate_gates(store(), run, {gate, none}));
    EXPECT_TRUE(store().finish_run(run, RunStatus::complete, "note"));
    if (accepted) {
      sql("UPDATE run SET accepted = 1 WHERE name = '" + run + "'");
    }
    return run;
  }
  void sql(const std::string& text) { ASSERT_TRUE(store().impl().db.execute(text)); }
  std::string exported(const std::string& run) {
    const auto text = store().export_run(*store().resolve(run));
    return text ? *text : "error: " + text.error().str();
  }
  Store other() {
    return std::move(
        *Store::open(root_ / ("other" + std::to_string(others_++)), Access::read_write));
  }
  Result<ImportedRun> import_into(Store& into, const std::string& text) {
    return into.import_run(
        text, [&](const std::string&) { return root_ / "bundle"; }, [] { return Result<>(); });
  }
  std::string bundle_;
  int others_ = 0;
};

TEST_F(Transfer, EveryColumnTravels) {
  const std::string text = exported(run_with_everything());
  const json run = json::parse(text);
  const std::map<std::string, std::set<std::string>> stay = {
      {"run", {"id", "process_id", "process_started", "process_host"}},
      {"cell", {"id", "run"}},
      {"gate", {"run"}}};
  for (const auto& [table, left] : stay) {
    const json& row = table == "run" ? run["run"] : run[table + "s"].at(0);
    auto names = store().impl().db.prepare("SELECT name FROM pragma_table_info('" + table + "')");
    ASSERT_TRUE(names);
    while (*names->step())
      EXPECT_NE(row.contains(names->string(0)), left.contains(names->string(0)))
          << table << "." << names->string(0);
  }
  EXPECT_EQ(run["cells"][0]["bundle"], bundle_);
  EXPECT_EQ(run["cells"][2]["bundle"], nullptr);
  EXPECT_EQ(run["cells"][2]["reason"]["hex"], "74686520656e67696e65207361696420ff01");
}

TEST_F(Transfer, ArrivesAsItLeft) {
  const std::string name = run_with_everything(true);
  const std::string text = exported(name);
  Store there = other();
  auto done = import_into(there, text);
  ASSERT_TRUE(done) << done.error().str();
  EXPECT_EQ(done->name, name);
  EXPECT_FALSE(done->known);
  EXPECT_EQ(*there.export_run(*there.resolve(name)), text);
  for (const char* sql :
       {"SELECT * FROM cells ORDER BY 1, 2, 3, 4, 5", "SELECT * FROM gates ORDER BY position",
        "SELECT run, variant, prompt, repeat, v FROM k ORDER BY v", "SELECT * FROM axes",
        "SELECT run, status, provenance, accepted, note, cells, cells_ok, gates, \"commit\" FROM "
        "runs",
        "SELECT line, kind, request, is_result FROM records ORDER BY line"}) {
    const auto a = store().query(sql), b = there.query(sql);
    ASSERT_TRUE(a && b) << sql;
    ASSERT_FALSE(a->rows.empty()) << sql;
    ASSERT_EQ(a->rows.size(), b->rows.size()) << sql;
    for (size_t row = 0; row < a->rows.size(); ++row)
      for (size_t i = 0; i < a->columns.size(); ++i)
        EXPECT_EQ(a->rows[row][i].text, b->rows[row][i].text) << sql << ": " << a->columns[i];
  }
  done = import_into(there, text);
  ASSERT_TRUE(done) << done.error().str();
  EXPECT_TRUE(done->known);
  EXPECT_EQ(there.list()->size(), 1U);
}

TEST_F(Transfer, AnAcceptedRunLeavesTheOneThatIsAcceptedHere) {
  const std::string text = exported(run_with_everything(true));
  Store there = other();
  auto here = json::parse(text);
  here["run"]["name"] = "B1-mine";
  ASSERT_TRUE(import_into(there, here.dump(1) + "\n"));
  const auto done = import_into(there, text);
  ASSERT_TRUE(done) << done.error().str();
  EXPECT_EQ(done->accepted_elsewhere, "B1-mine");
  EXPECT_EQ(there.select("B1")->name, "B1-mine");
}

// Written before a column was there.
TEST_F(Transfer, AnOlderRunHasTheDefaultsOfLaterColumns) {
  json run = json::parse(exported(run_with_everything()));
  for (const char* later : {"cells_planned", "purpose", "replay_of"})
    ASSERT_EQ(run["run"].erase(later), 1U) << later;
  Store there = other();
  const std::string text = run.dump(1) + "\n";
  for (const bool known : {false, true}) {
    const auto done = import_into(there, text);
    ASSERT_TRUE(done) << done.error().str();
    EXPECT_EQ(done->known, known);
  }
  EXPECT_EQ(json::parse(*there.export_run(1))["run"]["purpose"], "run");
}

TEST_F(Transfer, AnErrorBeforeTheCommitUndoesItAll) {
  const std::string text = exported(run_with_everything());
  Store there = other();
  const auto done = there.import_run(
      text, [&](const std::string&) { return root_ / "bundle"; },
      [] { return Result<>(fail(Exit::infrastructure, "no room")); });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "no room");
  EXPECT_TRUE(there.list()->empty());
  EXPECT_EQ(there.query("SELECT count(*) FROM bundles")->rows[0][0].integer, 0);
}

TEST_F(Transfer, WhatIsRefused) {
  const std::string name = run_with_everything();
  const json good = json::parse(exported(name));
  Store there = other();
  using Change = std::function<void(json&)>;
  const std::pair<Change, const char*> cases[] = {
      {[](json& j) { j["version"] = 2; }, "its `version` is not 1"},
      {[](json& j) { j["more"] = 1; }, "not written as `greta bundle export` writes it"},
      {[](json& j) { j.erase("gates"); }, "`gates` is missing"},
      {[](json& j) { j["run"]["colour"] = "red"; }, "`colour`, which this store does not know"},
      {[](json& j) { j["run"]["name"] = "../../B1"; }, "cannot be its name"},
      {[](json& j) { j["run"]["name"] = std::string("B1\0x", 4); }, "cannot be its name"},
      {[](json& j) { j["run"]["name"] = ""; }, "cannot be its name"},
      {[](json& j) { j["run"]["status"] = "running"; }, "`status` is `running`, not one of"},
      {[](json& j) { j["run"]["provenance"] = "execute"; }, "did you mean `executed`?"},
      {[](json& j) { j["run"]["note"] = json::array(); }, "`note` is no text"},
      {[](json& j) {
         j["run"]["note"] = {{"hex", "zz"}};
       },
       "no list of bytes"},
      {[](json& j) { j["run"]["note"] = true; }, "neither text nor number"},
      {[](json& j) { j["cells"][1] = j["cells"][0]; }, "stands twice"},
      {[](json& j) { j["cells"][0]["bundle"] = "../x"; }, "is no SHA-256: ../x"},
      {[](json& j) { j["cells"][0]["variant_json"] = "[]"; }, "no JSON object"},
      {[](json& j) { j["cells"][0].erase("repeat"); }, "`repeat` is missing"},
      {[](json& j) { j["cells"][0]["status"] = "fine"; }, "`status` is `fine`"},
      {[](json& j) { j["cells"][0]["bundle"] = std::string(64, 'a'); }, "has another hash"},
      {[](json& j) { j["run"]["milestone"] = "../../B1"; }, "is no name of a milestone"},
      {[](json& j) { j["run"]["started_at"] = "not a date"; }, "`started_at` is no time"},
      {[](json& j) { j["run"]["accepted"] = 7; }, "`accepted` is neither 0 nor 1"},
      {[](json& j) { j["run"]["cells_planned"] = -5; }, "`cells_planned` is no number"},
      {[](json& j) { j["run"]["purpose"] = "fun"; }, "`purpose` is none of"},
      {[](json& j) { j["run"]["provenance"] = "recorded"; }, "another provenance"},
      {[](json& j) { std::swap(j["cells"][0]["identity"], j["cells"][1]["identity"]); },
       "none of its bundle's"},
      {[](json& j) { j["cells"][0]["status"] = "failed"; }, "is another one in its bundle"},
      {[](json& j) { j["cells"][0]["repeat"] = 99; }, "is another one in its bundle"},
      {[](json& j) { j["cells"][0]["cached"] = 0; }, "is another one in its bundle"},
      {[](json& j) { j["cells"][0]["bundle"] = nullptr; }, "ended ok has no bundle"},
      {[](json& j) { j["gates"][1]["id"] = "g"; }, "gate \"g\" stands twice"},
      {[](json& j) { j["gates"][0]["status"] = 3; }, "`status` is no text"},
      {[](json& j) { j["gates"] = 3; }, "its gates are no list"},
  };
  for (const auto& [change, part] : cases) {
    json bad = good;
    change(bad);
    const auto done = import_into(there, bad.dump(1) + "\n");
    ASSERT_FALSE(done) << part;
    EXPECT_NE(done.error().message.find(part), std::string::npos) << done.error().message;
    EXPECT_EQ(done.error().exit_code, 2) << part;
    EXPECT_TRUE(there.list()->empty()) << part;
  }
  EXPECT_FALSE(there.check_run(good.dump() + "\n"));  // other white space
  EXPECT_TRUE(there.check_run(good.dump(1) + "\n"));
  ASSERT_TRUE(import_into(there, good.dump(1) + "\n"));
  json changed = good;
  changed["run"]["note"] = "another";
  for (const auto& error : {there.check_run(changed.dump(1) + "\n").error(),
                            import_into(there, changed.dump(1) + "\n").error()}) {
    EXPECT_NE(error.message.find("has another run `" + name + "` (they differ in: run)"),
              std::string::npos)
        << error.message;
  }
}

TEST_F(Transfer, ARunThatIsStillRunningStays) {
  RunStart start;
  start.milestone = "B1";
  const std::string run = *store().begin_run(start);
  EXPECT_NE(exported(run).find("is still running"), std::string::npos);
}

TEST_F(Transfer, AFileIsReadInPiecesAndChecked) {
  TestBundle bundle;
  std::string big;
  for (int i = 0; i < 200000; ++i) big += "{\"v\":" + std::to_string(i) + "}\n";
  bundle.files["out/k.jsonl"] = {.bytes = big};
  const std::string hash = *store().ingest_bundle(write_bundle(bundle));
  StoredFile file = manifest_files(*store().file_bytes(hash, "manifest.json"))->at(0);
  EXPECT_EQ(file.bytes, static_cast<int64_t>(big.size()));
  std::string read;
  int pieces = 0;
  const auto sink = [&](std::string_view piece) {
    read += piece;
    ++pieces;
    return Result<>();
  };
  ASSERT_TRUE(store().read_file(hash, file, sink));
  EXPECT_EQ(read, big);
  EXPECT_GT(pieces, 1);
  file.sha256 = std::string(64, '0');
  EXPECT_EQ(store().read_file(hash, file, sink).error().exit_code, 4);
}

}  // namespace
}  // namespace greta::store
