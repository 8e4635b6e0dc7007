#pragma once
// Bundles written byte by byte, for the tests of ingest, query and runs.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "store/store.h"

namespace greta::store {

struct TestFile {
  std::string bytes, role = "records", kind = {};
};

struct TestBundle {
  std::map<std::string, TestFile> files;
  std::string milestone = "T1", provenance = "executed", status = "ok", variant = "default";
  nlohmann::json axes = nlohmann::json::object();
  std::vector<std::string> prompts = {"p1"};  // a cell each, the request has the prompt's name
  nlohmann::json environment = {{"commit", "c0ffee"}};
  int salt = 0;  // makes another manifest of the same files

  std::string manifest() const {
    nlohmann::json list = nlohmann::json::array(), cells = nlohmann::json::array();
    for (const auto& [name, file] : files) {
      list.push_back({{"name", name},
                      {"bytes", file.bytes.size()},
                      {"sha256", sha256_hex(file.bytes)},
                      {"role", file.role},
                      {"kind", file.kind}});
    }
    for (const auto& prompt : prompts) {
      cells.push_back({{"identity", "id-" + variant + prompt + std::to_string(salt)},
                       {"prompt", prompt},
                       {"request", prompt},
                       {"status", status},
                       {"reason", ""}});
    }
    const nlohmann::json out = {{"manifest", 1},
                                {"provenance", provenance},
                                {"status", status},
                                {"exit_code", 0},
                                {"signal", nullptr},
                                {"reason", ""},
                                {"started_at", "2026-02-03T10:00:00.000Z"},
                                {"ended_at", "2026-02-03T10:00:01.000Z"},
                                {"wall_s", 1.0},
                                {"contract_version", 1},
                                {"milestone", milestone},
                                {"executor", "host"},
                                {"argv", {"engine", "run"}},
                                {"variant", variant},
                                {"variant_axes", axes},
                                {"repeat", 0},
                                {"cells", cells},
                                {"environment", environment},
                                {"flags", {{"GRETA_GIVEN", "1"}}},
                                {"prompts", {{"p1", {{"sha256", "ab"}, {"text", "One"}}}}},
                                {"salt", salt},
                                {"files", list}};
    return out.dump();
  }
};

class StoreFixture : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string(test->test_suite_name()) + "-" + test->name();
    std::replace(name.begin(), name.end(), '/', '-');
    root_ =
        std::filesystem::path(testing::TempDir()) / ("greta-" + name + std::to_string(getpid()));
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(root_);
  }

  // Closes it, so that another process may be killed over it; `store()` opens it again.
  void close_store() { store_.reset(); }

  std::filesystem::path store_file() const { return root_ / "store.sqlite"; }
  Store& store() {
    if (!store_) {
      auto opened = Store::open(store_file(), Access::read_write);
      EXPECT_TRUE(opened) << opened.error().str();
      store_ = std::make_unique<Store>(std::move(*opened));
    }
    return *store_;
  }

  static void write(const std::filesystem::path& file, const std::string& bytes) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << bytes;
  }
  std::filesystem::path write_bundle(const TestBundle& bundle, const std::string& name = "bundle") {
    const auto folder = root_ / name;
    for (const auto& [file, content] : bundle.files) write(folder / file, content.bytes);
    write(folder / "manifest.json", bundle.manifest());
    return folder;
  }
  // A run of its own for the bundle.
  std::string import(const TestBundle& bundle, const std::string& name = "bundle") {
    const auto run = store().import_bundle(write_bundle(bundle, name));
    EXPECT_TRUE(run) << run.error().str();
    return run.value_or("");
  }

  // "a|b\nc|d" of a query; NULL is ∅; "error: …" when it fails.
  std::string ask(const std::string& sql, int64_t run = -1) { return ask(store(), sql, run); }
  static std::string ask(Store& store, const std::string& sql, int64_t run = -1) {
    const auto table = store.query(sql, run);
    if (!table) return "error: " + table.error().str();
    std::string out;
    for (const auto& row : table->rows) {
      out += out.empty() ? "" : "\n";
      for (size_t i = 0; i < row.size(); ++i) {
        out += i == 0 ? "" : "|";
        const Value& value = row[i];
        switch (value.type) {
          case Value::Type::integer:
            out += std::to_string(value.integer);
            break;
          case Value::Type::real:
            out += nlohmann::json(value.real).dump();
            break;
          case Value::Type::null:
            out += "∅";
            break;
          default:
            out += value.text;
        }
      }
    }
    return out;
  }

  std::filesystem::path root_;

 private:
  std::unique_ptr<Store> store_;
};

}  // namespace greta::store
