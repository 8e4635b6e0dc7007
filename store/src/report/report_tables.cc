#include "report/report_tables.h"

#include <algorithm>

#include "contract/text.h"
#include "db/sqlite.h"

namespace greta::store {

namespace {

// The kinds of the run, and which of their columns have any value in it.
class Sections {
 public:
  Sections(ReportWriter& out, Language language) : out_(out), language_(language) {}
  Result<> write();

 private:
  std::string text(Label id) const { return label(id, language_); }
  const KindInfo* kind(std::string_view name) const;
  ReportColumn key(Label id, const std::string& sql, Align align = Align::left) const {
    return ReportColumn{text(id), sql, align};
  }
  // The value of a field, also where a record holds it in a form that the field's column cannot.
  static std::string shown(const KindInfo& kind, const std::string& field);
  static std::string others_shown(const KindInfo& kind, const std::string& field);
  ReportColumn figure(const KindInfo& kind, const std::string& field,
                      Align align = Align::right) const {
    return ReportColumn{field, shown(kind, field), align};
  }
  // variant and phase where the run has more than one of them.
  std::vector<ReportColumn> arm_columns(const KindInfo& kind) const;
  // A table over `rows` (a subquery or view with a column `repeat`), where equal repeats are one
  // row that names them.
  Result<> table_of_repeats(std::vector<ReportColumn> columns, const std::string& rows,
                            const std::string& order, const std::string& above = "");
  // The prompts with records of this kind: what stands above their table, and the SQL that selects
  // them. Lines of past files may name no prompt.
  struct PromptRows {
    std::string caption, where;
  };
  Result<std::vector<PromptRows>> prompts(const KindInfo& kind) const;

  Result<> kernels();
  Result<> shadow();
  Result<> attention();
  Result<> readout();
  Result<> consistency();
  Result<> answers();
  Result<> other_figures();
  Result<> failed_cells();

  ReportWriter& out_;
  Language language_;
  std::vector<KindInfo> kinds_;
  bool several_repeats_ = false;
  std::set<std::string> several_phases_;  // kinds with more than one
};

Result<> Sections::write() {
  Store& store = out_.store();
  const int64_t run = out_.run().id;
  TRY_ASSIGN(kinds_, kinds_of_run(store, run));
  TRY_ASSIGN(const Table repeats, select(store, run, "SELECT count(DISTINCT repeat) FROM cells"));
  several_repeats_ = repeats.rows[0][0].integer > 1;
  for (const KindInfo& kind : kinds_) {
    if (kind.find("phase") == nullptr) continue;
    TRY_ASSIGN(const Table phases,
               select(store, run, "SELECT count(DISTINCT phase) FROM " + sql_name(kind.view)));
    if (phases.rows[0][0].integer > 1) several_phases_.insert(kind.name);
  }
  TRY(failed_cells());
  TRY(kernels());
  TRY(shadow());
  TRY(attention());
  TRY(readout());
  TRY(consistency());
  TRY(answers());
  return other_figures();
}

const KindInfo* Sections::kind(std::string_view name) const {
  const auto at =
      std::find_if(kinds_.begin(), kinds_.end(), [&](const KindInfo& k) { return k.name == name; });
  return at == kinds_.end() ? nullptr : &*at;
}

std::vector<ReportColumn> Sections::arm_columns(const KindInfo& kind) const {
  std::vector<ReportColumn> out;
  if (out_.run().variants.size() > 1) out.push_back(key(Label::variant, "variant"));
  if (several_phases_.contains(kind.name)) out.push_back(key(Label::phase, "phase"));
  return out;
}

// ", layer__text, layer__real": columns `<field>__<type>` hold what the field's own type cannot.
std::string Sections::others_shown(const KindInfo& kind, const std::string& field) {
  std::string out;
  for (const FieldInfo& other : kind.fields)
    if (other.column == field + "__" + other.type) out += ", " + sql_name(other.column);
  return out;
}

std::string Sections::shown(const KindInfo& kind, const std::string& field) {
  const std::string others = others_shown(kind, field);
  return others.empty() ? sql_name(field) : "coalesce(" + sql_name(field) + others + ")";
}

Result<> Sections::table_of_repeats(std::vector<ReportColumn> columns, const std::string& rows,
                                    const std::string& order, const std::string& above) {
  std::string rest = " FROM " + rows;
  if (several_repeats_) {
    std::vector<std::string> others;
    for (const ReportColumn& column : columns) others.push_back(column.sql);
    rest += " GROUP BY " + joined(others, ", ");
    columns.push_back(key(Label::repeats, "group_concat(DISTINCT repeat)"));
  }
  TRY(out_.table(columns, rest + " ORDER BY " + order, above));
  return {};
}

Result<std::vector<Sections::PromptRows>> Sections::prompts(const KindInfo& kind) const {
  TRY_ASSIGN(const Table table, select(out_.store(), out_.run().id,
                                       "SELECT prompt FROM " + sql_name(kind.view) +
                                           " GROUP BY prompt ORDER BY min(record)"));
  std::vector<PromptRows> out;
  for (const auto& row : table.rows) {
    if (row[0].type == Value::Type::null) {
      out.push_back(
          {"**" + text(Label::prompt) + ": " + text(Label::not_recorded) + "**", "prompt IS NULL"});
      continue;
    }
    const std::string id = value_text(row[0]);
    out.push_back({"**" + escape_markdown(shortened(id)) + "**", "prompt = " + quoted_text(id)});
  }
  return out;
}

std::string order_of(const KindInfo& kind) {
  std::string order = "variant";
  for (const std::string column : {"step", "phase", "layer", "head"}) {
    if (kind.find(column) != nullptr) order += ", " + column;
  }
  return order;
}

Result<> Sections::failed_cells() {
  TRY_ASSIGN(const Table failed, select(out_.store(), out_.run().id,
                                        "SELECT 1 FROM cells WHERE status <> 'ok' LIMIT 1"));
  if (failed.rows.empty()) return {};
  out_.heading(3, text(Label::failed_heading));
  TRY(out_.table({key(Label::variant, "variant"), key(Label::prompt, "prompt"),
                  key(Label::repeat, "repeat", Align::right),
                  word_column(text(Label::status), "status", language_,
                              {Label::cell_failed, Label::cell_timeout, Label::cell_killed}),
                  key(Label::reason, "reason")},
                 " FROM cells WHERE status <> 'ok' ORDER BY variant, prompt, repeat"));
  return {};
}

Result<> Sections::kernels() {
  TRY_ASSIGN(const Table any, select(out_.store(), out_.run().id, "SELECT 1 FROM kernels LIMIT 1"));
  const KindInfo* verify = kind("attn_decode_verify");
  const bool arms = verify != nullptr && verify->find("kernel_ids") != nullptr;
  if (any.rows.empty() && !arms) return {};
  // A heading without a table under it says nothing: recorded figures name no kernel.
  TRY_ASSIGN(const Table named, select(out_.store(), out_.run().id,
                                       arms ? "SELECT 1 FROM attn_decode_verify WHERE kernel_ids"
                                              " IS NOT NULL LIMIT 1"
                                            : "SELECT 1 LIMIT 0"));
  if (any.rows.empty() && named.rows.empty()) return {};
  out_.heading(3, "A — " + text(Label::kernels_heading));
  if (!named.rows.empty()) {
    TRY(out_.table(
        {key(Label::variant, "variant"), field_column("kernel_path", Align::left),
         field_column("matmul_route", Align::left), key(Label::kernel, "kernel_ids"),
         key(Label::code_hash, "kernel_hash"), key(Label::records, "count(*)", Align::right)},
        " FROM attn_decode_verify GROUP BY variant, kernel_path, matmul_route,"
        " kernel_ids, kernel_hash ORDER BY variant, kernel_ids"));
  }
  TRY(out_.table(
      {key(Label::variant, "c.variant"), key(Label::kernel, "k.id"), key(Label::operation, "k.op"),
       key(Label::implementation, "k.kernel_variant"), key(Label::code_hash, "k.code_hash"),
       key(Label::attempts, "count(DISTINCT k.bundle)", Align::right),
       key(Label::launches, "sum(k.launches)", Align::right)},
      " FROM (SELECT DISTINCT variant, bundle FROM cells) c JOIN kernels k"
      " ON k.bundle = c.bundle GROUP BY c.variant, k.id, k.op, k.kernel_variant,"
      " k.code_hash ORDER BY c.variant, k.id, k.code_hash"));
  return {};
}

Result<> Sections::shadow() {
  const KindInfo* arms = kind("mfma_vs_valu");
  if (arms == nullptr) return {};
  out_.heading(3, "A — " + text(Label::shadow_heading));
  TRY_ASSIGN(const auto prompts_of_kind, prompts(*arms));
  for (const PromptRows& one : prompts_of_kind) {
    std::vector<ReportColumn> columns = arm_columns(*arms);
    columns.push_back(key(Label::layer, shown(*arms, "layer")));
    for (const std::string name :
         {"head", "attn_out_mae", "attn_out_max_diff", "rel_l2", "bound"}) {
      if (arms->find(name) != nullptr) columns.push_back(figure(*arms, name));
    }
    // A report has the answer, the lines of a trace have the two hashes.
    std::vector<std::string> equal;
    if (arms->find("hash_equal") != nullptr) equal.emplace_back("hash_equal");
    if (arms->find("mfma_hash") != nullptr && arms->find("valu_hash") != nullptr)
      equal.emplace_back("mfma_hash = valu_hash");
    if (!equal.empty()) {
      columns.push_back(
          truth_column("mfma_hash == valu_hash",
                       equal.size() == 1 ? equal[0] : "coalesce(" + joined(equal) + ")"));
    }
    if (arms->find("attn_out_mfma_hash") != nullptr &&
        arms->find("attn_out_valu_hash") != nullptr) {
      columns.push_back(truth_column("attn_out_mfma_hash == attn_out_valu_hash",
                                     "(attn_out_mfma_hash = attn_out_valu_hash)"));
    }
    for (const std::string name : {"mfma_kernel_hash", "valu_kernel_hash"}) {
      if (arms->find(name) != nullptr) columns.push_back(field_column(name, Align::left));
    }
    TRY(table_of_repeats(columns, "mfma_vs_valu WHERE " + one.where, order_of(*arms), one.caption));
  }
  return {};
}

Result<> Sections::attention() {
  const KindInfo* verify = kind("attn_decode_verify");
  if (verify == nullptr) return {};
  out_.heading(3, "B — " + text(Label::attention_heading));
  TRY_ASSIGN(const auto prompts_of_kind, prompts(*verify));
  // One row a layer: its worst head, and whether the invariants hold in all of them.
  // Several prompts of one past file differ in their length alone.
  const std::string layer_shown = shown(*verify, "layer");
  std::string same = "variant, repeat, phase, " + layer_shown +
                     (verify->find("seq_len_used") ? ", seq_len_used" : "");
  // Where a head was recorded more than once, each time has its row: none can speak for another.
  const std::string of_head = same + ", prompt, step, head";
  TRY_ASSIGN(const Table again, select(out_.store(), out_.run().id,
                                       "SELECT 1 FROM attn_decode_verify GROUP BY " + of_head +
                                           " HAVING count(*) > 1 LIMIT 1"));
  std::string from = "attn_decode_verify", order = "variant, step, phase, seq_len_used, layer";
  if (!again.rows.empty()) {
    from = "(SELECT *, row_number() OVER (PARTITION BY " + of_head +
           " ORDER BY record) AS nth FROM attn_decode_verify)";
    same += ", nth";
  }
  if (!again.rows.empty() || layer_shown != "layer")
    order = "variant, step, phase, seq_len_used, " + layer_shown + ", record";
  const std::string layer = "(PARTITION BY " + same;
  std::string inner = "*, row_number() OVER " + layer;
  if (verify->find("rel_l2") != nullptr) inner += " ORDER BY " + shown(*verify, "rel_l2") + " DESC";
  inner += ") AS place, max(" + shown(*verify, "attn_out_mae") + ") OVER " + layer +
           ") AS layer_mae, min(kv_invariant_ok) OVER " + layer + ") AS layer_kv_ok";
  for (const PromptRows& one : prompts_of_kind) {
    std::vector<ReportColumn> columns = arm_columns(*verify);
    columns.push_back(key(Label::layer, layer_shown));
    columns.push_back({"seq_len_used", "seq_len_used"});
    columns.push_back({"attn_out_mae", "layer_mae"});
    columns.push_back(figure(*verify, "rel_l2"));
    columns.push_back(figure(*verify, "bound"));
    columns.push_back(key(Label::worst_head, shown(*verify, "head"), Align::right));
    ReportColumn kv_ok = truth_column("kv_invariant_ok", "layer_kv_ok");
    if (const std::string others = others_shown(*verify, "kv_invariant_ok"); !others.empty())
      kv_ok.sql = "coalesce(" + kv_ok.sql + others + ")";
    columns.push_back(kv_ok);
    TRY(table_of_repeats(
        columns, "(SELECT " + inner + " FROM " + from + " WHERE " + one.where + ") WHERE place = 1",
        order, one.caption));
  }
  return {};
}

std::string value_at(const std::string& phase, const std::string& field) {
  return "CASE phase WHEN '" + phase + "' THEN " + field + " END";
}
std::string at_phase(const std::string& phase, const std::string& field) {
  return "max(" + value_at(phase, field) + ")";
}

Result<> Sections::readout() {
  const KindInfo* readout = kind("readout");
  if (readout == nullptr) return {};
  out_.heading(3, "C — " + text(Label::readout_heading));
  std::vector<ReportColumn> columns;
  if (out_.run().variants.size() > 1) columns.push_back(key(Label::variant, "variant"));
  columns.push_back(key(Label::prompt, "prompt"));
  struct Pivot {
    const char* header;
    const char* field;
    Align align;
  };
  std::string inner = "SELECT variant, prompt, repeat, min(record) AS first";
  for (const Pivot& pivot :
       {Pivot{"top1", "top1_id", Align::right}, Pivot{"text", "top1_text", Align::left},
        Pivot{"gap", "gap", Align::right}, Pivot{"entropy", "entropy", Align::right}}) {
    for (const std::string phase : {"prefill_last", "decode0"}) {
      const std::string name = phase + "_" + pivot.header;
      inner += ", " + at_phase(phase, shown(*readout, pivot.field)) + " AS " + name;
      columns.push_back({name, name, pivot.align});
    }
  }
  // Past files may hold several prompts under no name: then no row can speak for one of them, and
  // every record is listed below.
  std::string rows = " FROM readout GROUP BY variant, prompt, repeat";
  std::vector<std::string> values;
  for (const std::string phase : {"prefill_last", "decode0"})
    for (const std::string field : {"top1_id", "gap"})
      values.push_back("count(DISTINCT " + value_at(phase, shown(*readout, field)) + ")");
  const std::string one_each = " HAVING max(" + joined(values) + ") ";
  TRY_ASSIGN(const Table mixed,
             select(out_.store(), out_.run().id, "SELECT 1" + rows + one_each + "> 1 LIMIT 1"));
  if (!mixed.rows.empty()) rows += one_each + "<= 1";
  TRY(table_of_repeats(columns, "(" + inner + rows + ")", "variant, first"));

  TRY_ASSIGN(const Table more, select(out_.store(), out_.run().id,
                                      "SELECT 1 FROM readout WHERE phase NOT IN"
                                      " ('prefill_last', 'decode0') LIMIT 1"));
  if (more.rows.empty() && mixed.rows.empty()) return {};
  std::vector<ReportColumn> steps = arm_columns(*readout);
  steps.insert(steps.end() - (several_phases_.contains("readout") ? 1 : 0),
               key(Label::prompt, "prompt"));
  for (const std::string name : {"top1_id", "top1_text", "gap", "entropy"}) {
    steps.push_back(figure(*readout, name, name == "top1_text" ? Align::left : Align::right));
  }
  const bool in_order = !mixed.rows.empty();
  return table_of_repeats(steps, "readout",
                          in_order ? "variant, record" : "variant, prompt, step, phase");
}

Result<> Sections::consistency() {
  if (kind("prefill_decode_consistency") == nullptr) return {};
  out_.heading(4, text(Label::consistency_heading));
  std::vector<ReportColumn> columns;
  if (out_.run().variants.size() > 1) columns.push_back(key(Label::variant, "variant"));
  columns.push_back(key(Label::prompt, "prompt"));
  columns.push_back(key(Label::positions, "positions", Align::right));
  std::string inner = "SELECT variant, prompt, repeat, min(record) AS first, count(*) AS positions";
  for (const std::string name : {"rel_l2", "bound", "max_diff", "kl"}) {
    inner += ", max(" + name + ") AS " + name;
    columns.push_back({"max(" + name + ")", name});
  }
  inner += ", min(top1_equal) AS top1_equal";
  columns.push_back(truth_column("top1_equal", "top1_equal"));
  return table_of_repeats(
      columns, "(" + inner + " FROM prefill_decode_consistency GROUP BY variant, prompt, repeat)",
      "variant, first");
}

Result<> Sections::answers() {
  if (kind("request_end") == nullptr) return {};
  out_.heading(4, text(Label::answers_heading));
  std::vector<ReportColumn> columns;
  if (out_.run().variants.size() > 1) columns.push_back(key(Label::variant, "variant"));
  columns.push_back(key(Label::prompt, "prompt"));
  columns.push_back({"prompt_tokens", "prompt_tokens"});
  columns.push_back({"generated_tokens", "generated_tokens"});
  columns.push_back(key(Label::stop_reason, "stop_reason"));
  columns.push_back(key(Label::text, "text"));
  return table_of_repeats(columns, "request_end", "variant, record");
}

// What no table above shows: every figure of a past report; of a run of ours, how much there is.
Result<> Sections::other_figures() {
  constexpr std::string_view kShown[] = {"mfma_vs_valu", "attn_decode_verify", "readout",
                                         "prefill_decode_consistency", "request_end"};
  std::vector<const KindInfo*> others;
  for (const KindInfo& one : kinds_) {
    if (std::find(std::begin(kShown), std::end(kShown), one.name) == std::end(kShown)) {
      others.push_back(&one);
    }
  }
  if (others.empty()) return {};
  if (out_.run().provenance != "recorded") {
    out_.heading(4, text(Label::other_kinds));
    TRY(out_.table({key(Label::kind, "kind"), key(Label::records, "count(*)", Align::right)},
                   " FROM records WHERE is_result GROUP BY kind ORDER BY kind"));
    return {};
  }
  out_.heading(4, text(Label::other_heading));
  for (const KindInfo* one : others) {
    std::vector<ReportColumn> columns;
    if (out_.run().variants.size() > 1) columns.push_back(key(Label::variant, "variant"));
    columns.push_back(key(Label::prompt, "prompt"));
    for (const FieldInfo& field : one->fields) {
      const bool words = field.type == "text" || field.type == "hash";
      columns.push_back(field_column(field.column, words ? Align::left : Align::right));
    }
    TRY(out_.table(columns, " FROM " + sql_name(one->view) + " ORDER BY variant, record",
                   "**" + escape_markdown(shortened(one->name)) + "**"));
  }
  return {};
}

}  // namespace

Result<> write_results(ReportWriter& out, Language language) {
  return Sections(out, language).write();
}

Result<> write_methodology(ReportWriter& out, Language language) {
  const auto text = [&](Label id) { return label(id, language); };
  TRY(out.table({{text(Label::run), "run", Align::left},
                 word_column(text(Label::status), "status", language,
                             {Label::status_running, Label::status_complete, Label::status_failed,
                              Label::status_interrupted, Label::status_partial}),
                 word_column(text(Label::provenance), "provenance", language,
                             {Label::provenance_executed, Label::provenance_recorded,
                              Label::provenance_reenacted}),
                 {text(Label::started), "started_at", Align::left},
                 {text(Label::ended), "ended_at", Align::left},
                 {"Commit", "\"commit\"", Align::left}},
                " FROM runs"));
  TRY(out.table({{text(Label::key), "\"key\"", Align::left},
                 {text(Label::value), "value", Align::left},
                 {text(Label::attempts), "count(DISTINCT bundle)", Align::right}},
                " FROM environment GROUP BY \"key\", value ORDER BY \"key\", value",
                "**" + text(Label::environment) + "**"));
  TRY(out.table({{text(Label::flag), "name", Align::left},
                 {text(Label::value), "value", Align::left},
                 {text(Label::source), "source", Align::left},
                 truth_column(text(Label::read), "\"read\""),
                 {text(Label::attempts), "count(DISTINCT bundle)", Align::right}},
                " FROM flags WHERE source <> 'default' GROUP BY name, value, source, \"read\""
                " ORDER BY name, value",
                "**" + text(Label::flags) + "**"));
  TRY(out.table({{text(Label::prompt), "id", Align::left},
                 {"SHA-256", "sha256", Align::left},
                 {text(Label::text), "text", Align::left}},
                " FROM prompts GROUP BY id, sha256, text ORDER BY id",
                "**" + text(Label::prompts) + "**"));
  TRY(out.table({{"Bundle", "b.bundle", Align::left},
                 {text(Label::variant), "b.variant", Align::left},
                 {text(Label::repeat), "b.repeat", Align::right},
                 word_column(text(Label::status), "b.status", language,
                             {Label::cell_failed, Label::cell_timeout, Label::cell_killed}),
                 {text(Label::files), "count(f.name)", Align::right},
                 {text(Label::bytes), "sum(f.bytes)", Align::right}},
                " FROM bundles b LEFT JOIN files f ON f.bundle = b.bundle GROUP BY b.bundle"
                " ORDER BY b.variant, b.repeat, b.bundle",
                "**" + text(Label::artefacts) + "**"));
  TRY(out.table({{text(Label::file), "name", Align::left},
                 {text(Label::bytes), "bytes", Align::right},
                 {"SHA-256", "sha256", Align::left},
                 {text(Label::attempts), "count(DISTINCT bundle)", Align::right}},
                " FROM files WHERE role = 'records' GROUP BY name, bytes, sha256"
                " ORDER BY name, sha256"));
  out.line(text(Label::numbers_note));
  return {};
}

}  // namespace greta::store
