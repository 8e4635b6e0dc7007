#pragma once
// Runs at chosen times, with lines of chosen values: what histories are asked of.

#include "ingest/bundle_fixture.h"

namespace greta::store {

class HistoryFixture : public StoreFixture {
 protected:
  struct TestRun {
    std::string milestone = "B1";
    std::string date = "2026-02-03";
    std::string lines = {};  // of readout.jsonl
    std::string commit = "c0ffee1234";
    std::string provenance = "executed";
    std::string variant = "default";
    nlohmann::json axes = nlohmann::json::object();
    std::vector<std::string> prompts = {"p1"};
    std::string kind = "readout";
  };
  // Returns the run's name.
  std::string add(const TestRun& run) {
    TestBundle bundle;
    bundle.milestone = run.milestone;
    bundle.provenance = run.provenance;
    bundle.variant = run.variant;
    bundle.axes = run.axes;
    bundle.prompts = run.prompts;
    bundle.environment = {{"commit", run.commit}, {"cpu", "one"}};
    bundle.salt = ++count_;
    bundle.files["out/" + run.kind + ".jsonl"] = {.bytes = run.lines};
    const std::string name = import(bundle, "bundle" + std::to_string(count_));
    at(name, run.date + "T10:00:00.000Z");
    return name;
  }
  // Imported bundles get the time of the bundle: moved to when the test wants them.
  void at(const std::string& run, const std::string& time) {
    close_store();
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(store_file().c_str(), &db), SQLITE_OK);
    const std::string sql = "UPDATE run SET started_at = '" + time + "' WHERE name = '" + run + "'";
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(db);
  }
  static std::string readout(double gap, const std::string& request = "p1", int layer = 0) {
    return nlohmann::json(
               {{"request", request}, {"phase", "decode0"}, {"step", layer}, {"gap", gap}})
               .dump() +
           "\n";
  }

 private:
  int count_ = 0;
};

}  // namespace greta::store
