// What is said of gates before anything ran.

#include <gtest/gtest.h>

#include "store/gates.h"

namespace greta::store {
namespace {

using What = GateMistake::What;

Gate sql(const std::string& text) {
  Gate gate;
  gate.form = Gate::Form::sql;
  gate.sql = text;
  return gate;
}
Gate metric(const std::string& kind, const std::string& field) {
  Gate gate;
  gate.kind = kind;
  gate.field = field;
  return gate;
}
Gate where(const std::string& kind, const std::string& condition) {
  Gate gate = metric(kind, kind == "readout" ? "gap" : "x");
  gate.where = condition;
  return gate;
}
Gate per(const std::string& kind, const std::string& field) {
  Gate gate = metric(kind, kind == "readout" ? "gap" : "x");
  gate.per = {field};
  return gate;
}
Gate limit(const std::string& kind, const std::string& field) {
  Gate gate = metric(kind, kind == "attn_decode_verify" ? "rel_l2" : "x");
  gate.bounds = {Bound{"le", 0, field}};
  return gate;
}
Gate distinct(std::vector<std::string> fields) {
  Gate gate;
  gate.form = Gate::Form::distinct;
  gate.fields = std::move(fields);
  return gate;
}
Gate across(const std::string& field) {
  Gate gate = metric("attn_decode_verify", field);
  gate.form = Gate::Form::distinct;
  gate.across = {"GRETA_X"};
  return gate;
}

Gate ratio(const std::string& kind, const std::string& field,
           std::vector<std::string> groups = {}) {
  Gate gate = metric(kind, field);
  gate.bounds = {Bound{"le", 1, ""}};
  gate.partner.what = Partner::What::baseline;
  gate.per = std::move(groups);
  gate.agg = gate.per.empty() ? "" : "median";
  return gate;
}
Gate within_floor(const std::string& kind, const std::string& field) {
  Gate gate = ratio(kind, field);
  gate.form = Gate::Form::floor;
  gate.bounds.clear();
  return gate;
}

struct Mistake {
  Gate gate;
  const char* key;
  What what;
  const char* words;
};

TEST(GateCheck, FindsMistakesAndNamesTheNearest) {
  const std::vector<Mistake> cases = {
      {sql("SELEC 1"), "sql", What::wrong, "near \"SELEC\": syntax error, at column 1 of the SQL"},
      {sql("SELECT 1\nFROM readout WHERE"), "sql", What::wrong, "incomplete input"},
      {sql("SELECT\n gpa FROM readout"), "sql", What::unknown_name,
       "no such column: gpa (did you mean `gap`?), at line 2, column 2 of the SQL"},
      {sql("DROP TABLE readout"), "sql", What::wrong, "can only read"},
      {sql("DROP VIEW readout"), "sql", What::wrong, "can only read"},
      {sql("DELETE FROM gate"), "sql", What::wrong, "can only read"},
      {sql("WITH a AS (SELECT 1) DELETE FROM run"), "sql", What::wrong, "can only read"},
      {sql("PRAGMA user_version = 9"), "sql", What::wrong, "PRAGMA user_version"},
      {sql("ATTACH 'x' AS y"), "sql", What::wrong, "can only read"},
      {sql("SELECT 1; SELECT 2"), "sql", What::wrong, "one statement"},
      {sql("SELECT 1 FROM main.run"), "sql", What::wrong, "leave it out"},
      {sql("-- nothing"), "sql", What::wrong, "empty"},
      {sql("SELECT maxx(gap) FROM readout"), "sql", What::wrong, "no such function: maxx"},
      {sql("SELECT 1 FROM readuot"), "sql", What::unknown_kind, "did you mean `readout`?"},
      {where("readout", "nolayer > 3"), "where", What::unknown_name, "no such column: nolayer"},
      {where("readout", "stepp = 0"), "where", What::unknown_name, "did you mean `step`?"},
      {where("readout", "step >"), "where", What::wrong, "syntax error"},
      {where("readout", "step = 0; DROP TABLE x"), "where", What::wrong, "syntax error"},
      {where("foreign_kind", "(y > 3"), "where", What::wrong, "incomplete input"},
      {per("readout", "layr"), "per", What::unknown_name, "readout has no `layr`"},
      {per("readout", "promt"), "per", What::unknown_name, "did you mean `prompt`?"},
      {metric("readout", "gpa"), "metric", What::unknown_name, "did you mean `gap`?"},
      {limit("attn_decode_verify", "bonud"), "le", What::unknown_name, "did you mean `bound`?"},
      {distinct({"readout.logits_hash", "readout.nope"}), "distinct", What::unknown_name, "nope"},
      {ratio("readout", "gpa"), "metric", What::unknown_name, "did you mean `gap`?"},
      {ratio("readout", "top1_text"), "metric", What::wrong, "is text: it has no ratio"},
      {ratio("readout", "logits_hash"), "metric", What::wrong, "`within_floor_of`"},
      {ratio("readout", "gap", {"promt"}), "per", What::unknown_name, "did you mean `prompt`?"},
      {ratio("readout", "gap", {"milestone"}), "per", What::wrong, "does not tell pairs apart"},
      {within_floor("cells", "wall_s"), "metric", What::wrong, "`ratio_to`"},
      {within_floor("timing", "prefill_s"), "metric", What::wrong, "is a timing"},
      {within_floor("attn_decode_verify", "kv_base_ptr_k"), "metric", What::wrong, "an address"},
      {metric("cells", "wal_s"), "metric", What::unknown_name, "did you mean `wall_s`?"},
      {across("kernel_hsh"), "distinct", What::unknown_name, "did you mean `kernel_hash`?"},
  };
  for (const Mistake& one : cases) {
    SCOPED_TRACE(one.gate.sql + one.gate.where + one.gate.field);
    const auto found = check_gates({sql("SELECT 1"), one.gate});
    ASSERT_TRUE(found) << found.error().str();
    ASSERT_EQ(found->size(), 1u);
    const GateMistake& mistake = found->front();
    EXPECT_EQ(mistake.gate, 1u);
    EXPECT_EQ(mistake.key, one.key);
    EXPECT_EQ(mistake.what, one.what) << mistake.message;
    EXPECT_NE(mistake.message.find(one.words), std::string::npos) << mistake.message;
  }
}

TEST(GateCheck, HasNothingToSayOfGoodOnes) {
  const auto found = check_gates(
      {sql("SELECT nan = 0 AND inf = 0 AS ok, variant, prompt, phase FROM readout"),
       sql("WITH a AS (SELECT max(gap) AS m FROM readout GROUP BY variant) SELECT m < 1 FROM a"),
       sql("SELECT value FROM json_each('[1]')"),
       sql("SELECT greta_line(record) <> '' FROM readout"),
       sql("SELECT sum(is_result) > 0 FROM records"), sql("SELECT count(*) = 2 FROM cells"),
       // Endless when it runs: nothing runs.
       sql("WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a) SELECT sum(x) FROM a"),
       where("readout", "step = 0 AND variant LIKE '%fused%'"), per("readout", "variant"),
       metric("readout", "gap"), limit("attn_decode_verify", "bound"),
       distinct({"attn_decode_verify.q_hash", "attn_decode_verify.k_hash"}), across("kernel_hash"),
       metric("cells", "wall_s"), ratio("cells", "wall_s", {"prompt", "variant"}),
       ratio("readout", "gap", {"phase", "repeat"}), within_floor("readout", "top1_text"),
       // Of kinds that a foreign engine may bring, any name may be right.
       metric("foreign_kind", "x"), where("foreign_kind", "anything > 3"),
       per("foreign_kind", "thing"), limit("foreign_kind", "thing"),
       ratio("foreign_kind", "x", {"thing"}), within_floor("foreign_kind", "x"),
       distinct({"foreign_kind.a", "foreign_kind.b"})});
  ASSERT_TRUE(found) << found.error().str();
  for (const GateMistake& mistake : *found)
    ADD_FAILURE() << mistake.gate << " " << mistake.key << ": " << mistake.message;
  // Columns of an unknown kind cannot be judged; that it is unknown is said once.
  const auto foreign =
      check_gates({sql("SELECT f.a FROM foreign_kind f JOIN readout USING (prompt)")});
  ASSERT_TRUE(foreign);
  ASSERT_EQ(foreign->size(), 1u);
  EXPECT_EQ(foreign->front().what, What::unknown_kind);
}

}  // namespace
}  // namespace greta::store
