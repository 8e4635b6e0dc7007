#include "past/past_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "past/report_reader.h"
#include "run/history.h"
#include "store/diff.h"
#include "store/report.h"
#include "system/files.h"
#include "system/test_folder.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;

const fs::path kReport = fs::path(RUNNER_TESTDATA) / "past" / "2026_02_03_B3_21_report.md";
constexpr const char* kBelow = "artifacts_remote/2026-02-03/b3_21/root/gretacore/artifacts/";

// Lines as GRETA wrote them: an event in some kinds only, a key twice, hashes above 2^63.
std::string verify_lines() {
  std::string out;
  for (const auto& [length, layer, mae] :
       {std::tuple{206, 0, "6.00923e-11"}, std::tuple{206, 1, "0.000657923"},
        std::tuple{46, 0, "5.34566e-11"}, std::tuple{46, 1, "0.000878943"}}) {
    out += R"({"event":"attn_decode_verify","phase":"decode0","layer":)" + std::to_string(layer) +
           R"(,"seq_len_used":)" + std::to_string(length) +
           R"(,"kernel_path":"fused","attn_out_hash":1469598103934665603)" + std::to_string(layer) +
           R"(,"attn_out_mae":)" + mae + R"(,"kv_invariant_ok":true,"kv_error":""})" + "\n";
  }
  return out;
}

std::string shadow_lines() {
  std::string out;
  for (const int layer : {0, 1, 2, 31})
    out += R"({"phase":"decode0_shadow","step":1,"layer":)" + std::to_string(layer) +
           R"(,"mfma_ok":true,"valu_ok":true,"attn_out_mfma_hash":17146898781420474)" +
           std::to_string(10 + layer) +
           R"(,"attn_out_mae":0,"attn_out_max_diff":0,"seq_len":206})" + "\n";
  return out;
}

std::string readout_lines(const std::string& gap) {
  return R"({"phase":"prefill_last","step":0,"offset_bytes":0,"offset_bytes":0,"top1_id":127158,"gap":)" +
         gap + "}\n" + R"({"phase":"decode","step":1,"top1_id":96965,"gap":1.34019})" + "\n";
}

class PastFiles : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = store::Store::open(folder_ / "store.sqlite", store::Access::read_write);
    ASSERT_TRUE(opened) << opened.error().str();
    store_ = std::make_unique<store::Store>(std::move(*opened));
  }
  void write_milestone() {
    const std::string below = kBelow;
    folder_.write(below + "b3_21_attn_verify.jsonl", verify_lines());
    folder_.write(below + "b3_21_attn_mfma_vs_valu.jsonl", shadow_lines());
    folder_.write(below + "b3_21_p4_prefill_decode.jsonl", readout_lines("0.95866"));
    folder_.write(below + "b3_21_p5_prefill_decode.jsonl", readout_lines("0.95619"));
    folder_.write(below + "b3_21_p4.log", "generating\n");
    folder_.write(below + "logits.jsonl.gz", "\x1f\x8b packed");
  }
  fs::path remote() const { return folder_ / "artifacts_remote"; }
  PastFolder found(const fs::path& path, const PastOptions& options = {}) {
    auto read = read_past_folder(path, options);
    EXPECT_TRUE(read) << read.error().str();
    return read ? std::move(*read) : PastFolder();
  }
  std::string import(const PastRun& run) {
    const auto name = store_->import_files(run.folder, run.manifest);
    EXPECT_TRUE(name) << name.error().str();
    return name.value_or("");
  }
  std::string ask(const std::string& sql) {
    const auto table = store_->query(sql);
    EXPECT_TRUE(table) << table.error().str();
    std::string out;
    for (const auto& row : table ? table->rows : decltype(table->rows)()) {
      for (const store::Value& value : row) {
        out += (&value == row.data() ? "" : "|");
        out += value.type == store::Value::Type::integer ? std::to_string(value.integer)
               : value.type == store::Value::Type::real  ? std::to_string(value.real)
                                                         : value.text;
      }
      out += "\n";
    }
    return out;
  }
  std::string error_of(const fs::path& path, const PastOptions& options = {}) {
    const auto read = read_past_folder(path, options);
    return read ? "no error" : read.error().str();
  }

  TestFolder folder_;
  std::unique_ptr<store::Store> store_;
};

TEST_F(PastFiles, AMilestonesFolderIsOneRun) {
  write_milestone();
  const PastFolder past = found(remote());
  ASSERT_EQ(past.runs.size(), 1U);
  EXPECT_EQ(past.runs[0].milestone, "B3.21");
  EXPECT_EQ(past.runs[0].date, "2026-02-03");
  const std::string name = import(past.runs[0]);
  EXPECT_TRUE(name.starts_with("B3.21-recorded-")) << name;
  EXPECT_EQ(ask("SELECT provenance, status, started_at, ifnull(\"commit\", 'unknown') FROM runs"),
            "recorded|complete|2026-02-03T00:00:00.000Z|unknown\n");
  EXPECT_EQ(ask("SELECT kind, count(*), min(state), max(state) FROM records GROUP BY 1 ORDER BY 1"),
            "attn_decode_verify|4|ok|ok\nmfma_vs_valu|4|ok|ok\nreadout|4|duplicate_keys|ok\n");
  EXPECT_EQ(ask("SELECT prompt, phase, top1_id, gap FROM readout ORDER BY record"),
            "p4_sys|prefill_last|127158|0.958660\np4_sys|decode|96965|1.340190\n"
            "p5_ba|prefill_last|127158|0.956190\np5_ba|decode|96965|1.340190\n");
  EXPECT_EQ(ask("SELECT ifnull(prompt, 'unknown'), count(*) FROM attn_decode_verify"),
            "unknown|4\n");
  EXPECT_EQ(ask("SELECT attn_out_hash FROM attn_decode_verify LIMIT 1"), "14695981039346656030\n");
  EXPECT_EQ(ask("SELECT role, count(*) FROM files GROUP BY 1 ORDER BY 1"),
            "log|1\noutput|1\nrecords|4\n");
}

// The report of such a run has every line of a file that names no prompt, and the lints see through
// it.
TEST_F(PastFiles, TheirReportHasEveryLine) {
  write_milestone();
  folder_.write(std::string(kBelow) + "b3_21_readout.jsonl",
                readout_lines("0.11") + readout_lines("0.22"));
  const int64_t run = *store_->resolve(import(found(remote()).runs[0]));
  const auto page = store::markdown_report(*store_, run, store::Language::en);
  ASSERT_TRUE(page) << page.error().str();
  for (const char* part : {"| 0 | 206 | 6.00923e-11 | true |", "| 1 | 46 | 8.78943e-04 | true |",
                           "| 31 | 0 | 0 |", "| – | prefill_last | 127158 | 0.11 |",
                           "| – | prefill_last | 127158 | 0.22 |", "| p4_sys | 127158 | 0.95866 |"})
    EXPECT_NE(page->find(part), std::string::npos) << part;
  const auto found_lints = store::lints(*store_, run);
  ASSERT_TRUE(found_lints) << found_lints.error().str();
  std::vector<std::string> ids;
  for (const store::Lint& lint : *found_lints) ids.push_back(lint.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"constant_across_prompts", "difference_exactly_zero",
                                           "error_jump", "invariants_blind"}));
}

TEST_F(PastFiles, TheSameAgainFromElsewhereChangesNothing) {
  write_milestone();
  const std::string name = import(found(remote()).runs[0]);
  EXPECT_EQ(import(found(remote()).runs[0]), name);
  fs::create_directories(folder_ / "moved/2026-02-03");
  fs::rename(remote() / "2026-02-03/b3_21", folder_ / "moved/2026-02-03/b3_21");
  EXPECT_EQ(import(found(folder_ / "moved/2026-02-03/b3_21/root").runs[0]), name);
  EXPECT_EQ(ask("SELECT count(*) FROM runs"), "1\n");
}

TEST_F(PastFiles, EveryByteIsKept) {
  write_milestone();
  const PastRun run = found(remote()).runs[0];
  import(run);
  const std::string bundle = store::sha256_hex(run.manifest);
  for (const PastFile& file : run.files)
    EXPECT_EQ(store_->file_bytes(bundle, file.name).value_or(""),
              read_file(run.folder / file.name).value_or("none"))
        << file.name;
}

TEST_F(PastFiles, PromptsOfLinesAndArmsOfNames) {
  folder_.write("b3_20/b3_20_manual_valu_stage.jsonl",
                "{\"prompt_id\":\"p4_sys\",\"point\":\"x_in\"}\n{\"prompt_id\":\"p6_long\"}\n{}\n");
  folder_.write("b3_20/b3_20_p6_fused_mfma_readout.jsonl", "{\"top1_id\":1}\n");
  import(found(folder_ / "b3_20").runs[0]);
  EXPECT_EQ(ask("SELECT variant, ifnull(prompt, 'unknown') FROM stage_trace ORDER BY record"),
            "manual_valu|p4_sys\nmanual_valu|p6_long\nmanual_valu|unknown\n");
  // p6 alone is p6_long here, since the lines of this run name no other.
  EXPECT_EQ(ask("SELECT variant, prompt FROM readout"), "fused_mfma|p6_long\n");
}

TEST_F(PastFiles, WhatAFileOfTheRunSaysIsKnown) {
  folder_.write("b3_61/config.json",
                R"({"commit":"ead86816","model":"m.gguf","flags":{"GRETA_A":1},"seed":7})");
  folder_.write("b3_61/run.ENV", "export GRETA_B=row\nOTHER=1\n");
  folder_.write("b3_61/.env", "GRETA_C=\"a b\"\r\nexport GRETA_D='c'\n");
  import(found(folder_ / "b3_61").runs[0]);
  EXPECT_EQ(ask("SELECT \"commit\", started_at FROM runs"), "ead86816|\n");
  EXPECT_EQ(ask("SELECT name, value FROM flags ORDER BY 1"),
            "GRETA_A|1\nGRETA_B|row\nGRETA_C|a b\nGRETA_D|c\n");
  EXPECT_EQ(ask("SELECT key, value FROM environment ORDER BY 1"),
            "commit|ead86816\nmodel.file|m.gguf\nseed|7\n");
}

TEST_F(PastFiles, OneFileWithWhatTheUserSays) {
  const fs::path file = folder_.write("x.jsonl", "{\"top1_id\":5}\n");
  EXPECT_NE(error_of(file).find("x.jsonl: neither a folder nor the file's name says its milestone"),
            std::string::npos)
      << error_of(file);
  const PastOptions options{
      .milestone = "B3.30", .prompt = "p5_ba", .kind = "readout", .variant = "E1"};
  import(found(file, options).runs[0]);
  EXPECT_EQ(ask("SELECT milestone, variant, prompt, top1_id FROM readout"), "B3.30|E1|p5_ba|5\n");
}

TEST_F(PastFiles, LinesAreLinesWhateverTheirFileIsCalled) {
  folder_.write("b3_62/p4_readout.ndjson", "{\"top1_id\":1}\n");
  folder_.write("b3_62/b3_62_stage.JSONL", "{}\n");
  const PastRun run = found(folder_ / "b3_62").runs[0];
  ASSERT_EQ(run.files.size(), 2U);
  EXPECT_EQ(run.files[0].kind, "stage_trace");
  EXPECT_EQ(run.files[1].kind, "readout");
  EXPECT_EQ(run.files[1].prompt, "p4_sys");
}

TEST_F(PastFiles, AKindThatOnlySharesAWordIsAGuess) {
  for (const auto& [name, kind, guess] : {std::tuple{"wo.jsonl", "wo_verify", true},
                                          std::tuple{".hidden.jsonl", "hidden_equiv", true},
                                          std::tuple{"readout.jsonl", "readout", false},
                                          std::tuple{"stage.jsonl", "stage_trace", false},
                                          std::tuple{"b3_20_слой.jsonl", "слой", false}}) {
    const fs::path file = folder_.write(std::string("b3_63/") + name, "{}\n");
    const PastFile read = found(file).runs[0].files[0];
    EXPECT_EQ(read.kind, kind);
    EXPECT_EQ(read.kind_is_guess, guess) << name;
    EXPECT_FALSE(found(file, {.milestone = {}, .prompt = {}, .kind = "mine", .variant = {}})
                     .runs[0]
                     .files[0]
                     .kind_is_guess);
  }
}

TEST_F(PastFiles, ANameThatIsNoUtf8IsRefusedByName) {
  folder_.write("b3_64/caf\xe9.jsonl", "{}\n");
  EXPECT_NE(
      error_of(folder_ / "b3_64").find("caf\\xe9.jsonl: the name has bytes that are no UTF-8"),
      std::string::npos)
      << error_of(folder_ / "b3_64");
}

TEST_F(PastFiles, LinksAndSpecialFilesAreRefusedByName) {
  folder_.write("b3_21/a.jsonl", "{}\n");
  fs::create_symlink("/etc/hostname", folder_ / "b3_21/link.log");
  EXPECT_NE(error_of(folder_ / "b3_21").find("link.log: a link"), std::string::npos);
  fs::remove(folder_ / "b3_21/link.log");
  ASSERT_EQ(mkfifo((folder_ / "b3_21/pipe").c_str(), 0600), 0);
  EXPECT_NE(error_of(folder_ / "b3_21").find("pipe: neither a file nor a folder"),
            std::string::npos);
}

TEST_F(PastFiles, AFileThatChangesMeanwhileLeavesNothing) {
  write_milestone();
  const PastRun run = found(remote()).runs[0];
  folder_.write(std::string(kBelow) + "b3_21_p5_prefill_decode.jsonl", "{}\n");
  EXPECT_FALSE(store_->import_files(run.folder, run.manifest));
  EXPECT_EQ(ask("SELECT count(*) FROM runs"), "0\n");
  EXPECT_EQ(ask("SELECT count(*) FROM records"), "0\n");
}

TEST_F(PastFiles, AReportAmongTheFilesIsReadOnItsOwn) {
  write_milestone();
  fs::copy_file(kReport, remote() / "2026-02-03" / kReport.filename());
  const PastFolder past = found(remote());
  ASSERT_EQ(past.reports.size(), 1U);
  EXPECT_EQ(past.runs[0].files.size(), 6U);
}

// The seed's kind of report gives the figures that were typed in from it, and its tables again.
TEST_F(PastFiles, TheReportOfB321IsItsRecord) {
  const std::string text = read_file(kReport).value_or("");
  const auto report = read_report(text, kReport.filename());
  ASSERT_TRUE(report) << report.error().str();
  EXPECT_EQ(report->figures, 50U);
  EXPECT_EQ(report->twins, 50U);
  ASSERT_EQ(report->not_taken.size(), 2U);
  EXPECT_EQ(report->not_taken[0].line, 7);
  const auto name = store_->import_report(report->entry.dump(), "r.md", {{"r.md", text}});
  ASSERT_TRUE(name) << name.error().str();
  EXPECT_EQ(store_->import_report(report->entry.dump(), "r.md", {{"r.md", text}}).value_or(""),
            *name);
  const auto typed = import_history(
      *store_, fs::path(PROJECT_ROOT) / "experiments" / "history" / "milestones.yaml");
  ASSERT_TRUE(typed) << typed.error().str();
  const auto of_b321 = std::find_if(typed->begin(), typed->end(),
                                    [](const auto& run) { return run.starts_with("B3.21-"); });
  const auto compared = store::diff(*store_, *store_->resolve(*of_b321), *store_->resolve(*name));
  ASSERT_TRUE(compared) << compared.error().str();
  EXPECT_EQ(compared->verdict, store::Verdict::identical);
  EXPECT_EQ(compared->matched, 50);
  EXPECT_EQ(compared->only_a + compared->only_b, 0);
  EXPECT_EQ(store_
                ->file_bytes(ask("SELECT bundle FROM bundles WHERE bundle IN (SELECT bundle FROM "
                                 "files WHERE name = 'source/r.md')")
                                 .substr(0, 64),
                             "source/r.md")
                .value_or(""),
            text);
  const std::string line =
      R"({"event":"attn_decode_verify","request":"p5_ba","layer":1,"phase":"decode0",)"
      R"x("source_line":59,"source_table":"B3.21B — attn_out vs ref (MAE)",)x"
      R"("attn_out_mae":8.78943e-04,"kv_invariant_ok":true})";
  EXPECT_EQ(ask("SELECT greta_line(record) FROM attn_decode_verify WHERE run = '" + *name +
                "' AND prompt = 'p5_ba' AND layer = 1"),
            line + "\n");
  for (const auto& [language, layer] :
       {std::pair{store::Language::es, "Capa"}, std::pair{store::Language::en, "Layer"}}) {
    const auto page = store::markdown_report(*store_, *store_->resolve(*name), language);
    ASSERT_TRUE(page) << page.error().str();
    for (const std::string& part :
         {"| " + std::string(layer) +
              " | attn_out_mae | attn_out_max_diff | mfma_hash == valu_hash |",
          std::string("| 31 | 0 | 0 | true |"), std::string("| 0 | 6.00923e-11 | true |"),
          std::string("| 31 | 4.38694e-02 | true |"),
          std::string("| p4_sys | 127158 | 96965 | 0.95866 | 1.34019 |"),
          std::string("constant_across_prompts"), std::string("difference_exactly_zero"),
          std::string("invariants_blind"), std::string("error_jump")})
      EXPECT_NE(page->find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace greta::runner
