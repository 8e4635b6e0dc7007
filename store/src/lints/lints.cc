// Results that look too good, or cannot be what they claim. Every finding has the query that shows
// it; none of them changes a verdict.

#include <algorithm>
#include <cmath>

#include "compare/run_info.h"
#include "contract/text.h"
#include "db/sqlite.h"
#include "lints/lints_arms.h"
#include "lints/lints_past.h"
#include "store/diff.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

// Between two traced layers an honest rounding error grows by small factors.
constexpr double kErrorJump = 1e4;
// So many prompts hardly go on with one token by chance.
constexpr int kManyPrompts = 3;
// … nor two of them through so many steps.
constexpr int kManySteps = 4;
// Characters of a figure that two prompts may share by chance.
constexpr int kShortNumber = 5;

std::string list_sql(const std::vector<std::string>& names) {
  return joined(sql_names(names), ", ");
}

std::vector<std::string> without(std::vector<std::string> names, const std::string& name) {
  std::erase(names, name);
  return names;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Prompts with the bytes of an earlier one: they must give the same results.
std::string other_prompts_sql(const RunInfo& run) {
  std::set<std::string> seen;
  std::vector<std::string> twins;
  for (const auto& [id, prompt] : run.prompts) {
    if (!prompt.sha256.empty() && !seen.insert(prompt.sha256).second) {
      twins.push_back(quoted_text(id));
    }
  }
  return twins.empty() ? "" : " AND prompt NOT IN (" + joined(twins, ", ") + ")";
}

std::string prompts_of(const Table& table, size_t row) {
  return value_text(table.rows[row].back());
}

// ── constant across prompts
// ───────────────────────────────────────────────────────────────────────

Result<> constant_figures(LintRun& run) {
  const KindInfo* readout = run.kind("readout");
  if (readout == nullptr) return {};
  // Two prompts may well have one answer: an equal token says something beside an equal figure.
  const bool has_token = readout->find("top1_id") != nullptr;
  const std::string token =
      has_token ? "CASE WHEN min(top1_id) = max(top1_id) THEN min(top1_id) END" : "NULL";
  const bool unknown =
      std::any_of(run.info.prompts.begin(), run.info.prompts.end(), [](const auto& prompt) {
        return prompt.second.sha256.empty() && prompt.second.text.empty();
      });
  for (const std::string field : {"gap", "entropy", "top1_logit"}) {
    if (readout->find(field) == nullptr) continue;
    const std::string sql = "SELECT variant, phase, repeat, " + field + ", " + token +
                            " AS top1_id, " + (has_token ? "count(DISTINCT top1_id)" : "1") +
                            " AS answers, count(DISTINCT prompt) AS prompts,"
                            " group_concat(DISTINCT prompt) AS which FROM readout WHERE " +
                            "typeof(" + field + ") IN ('integer', 'real') AND prompt IS NOT NULL" +
                            other_prompts_sql(run.info) + " GROUP BY variant, phase, repeat, " +
                            field + " HAVING count(DISTINCT prompt) > 1" +
                            (has_token ? " AND (min(top1_id) IS max(top1_id) OR length(" + field +
                                             ") > " + std::to_string(kShortNumber) + ")"
                                       : "");
    TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
    if (found.rows.empty()) continue;
    const std::string place = value_text(found.rows[0][1]), value = value_text(found.rows[0][3]);
    const std::string which = prompts_of(found, 0);
    const Value& top1 = found.rows[0][4];
    const bool one_token = top1.type != Value::Type::null;
    const std::string also_en = one_token ? ", top1_id " + value_text(top1) + " as well" : "",
                      also_es = one_token ? ", y también top1_id " + value_text(top1) : "";
    const bool one_answer = found.rows[0][5].integer <= 1;
    const std::string so_en = one_answer ? "the answer does not depend on the prompt"
                                         : "to the last digit, for different answers",
                      so_es = one_answer ? "la respuesta no depende de la entrada"
                                         : "hasta el último dígito, con respuestas distintas";
    const std::string but_en = unknown ? " (unless they are one text: it is not recorded)" : "",
                      but_es =
                          unknown ? " (salvo que sean un mismo texto: no está registrado)" : "";
    run.add("constant_across_prompts", sql,
            field + " of " + place + " is " + value + " for different prompts (" + which + ")" +
                also_en + ": " + so_en + but_en,
            field + " de " + place + " es " + value + " para textos de entrada distintos (" +
                which + ")" + also_es + ": " + so_es + but_es);
  }
  return {};
}

// A first decode step that answers one token to many prompts, whose prefills do not. (Of later
// steps it may be the end of their answers.)
Result<> collapsed_decode(LintRun& run) {
  const KindInfo* readout = run.kind("readout");
  if (readout == nullptr || readout->find("top1_id") == nullptr) return {};
  const std::string others = other_prompts_sql(run.info);
  const std::string sql =
      "SELECT d.variant, d.phase, d.repeat, min(d.top1_id) AS top1_id,"
      " count(DISTINCT d.prompt) AS prompts, count(DISTINCT p.top1_id) AS first_tokens,"
      " group_concat(DISTINCT d.prompt) AS which FROM"
      " (SELECT * FROM readout WHERE phase IN ('decode0', 'decode') AND prompt IS NOT NULL" +
      others +
      ") AS d JOIN readout AS p ON p.phase = 'prefill_last' AND p.run = d.run"
      " AND p.variant = d.variant AND p.prompt = d.prompt AND p.repeat = d.repeat"
      " GROUP BY d.variant, d.phase, d.repeat HAVING count(DISTINCT d.prompt) >= " +
      std::to_string(kManyPrompts) +
      " AND min(d.top1_id) = max(d.top1_id) AND count(DISTINCT p.top1_id) > 1";
  TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
  if (found.rows.empty()) return {};
  const std::string phase = value_text(found.rows[0][1]), token = value_text(found.rows[0][3]),
                    prompts = value_text(found.rows[0][4]), first = value_text(found.rows[0][5]),
                    which = prompts_of(found, 0);
  run.add("decode_collapsed", sql,
          "top1_id of " + phase + " is " + token + " for all " + prompts + " prompts (" + which +
              "), while prefill gave " + first + " different ones: decode collapses to one token",
          "top1_id de " + phase + " es " + token + " para las " + prompts + " entradas (" + which +
              "), y el prefill dio " + first + " distintos: el decode colapsa a un solo token");
  return {};
}

// One token in every step of the decode, whatever the prompt.
Result<> stuck_decode(LintRun& run) {
  const KindInfo* readout = run.kind("readout");
  if (readout == nullptr || readout->find("top1_id") == nullptr) return {};
  const std::string sql =
      "SELECT variant, repeat, min(top1_id) AS top1_id, count(DISTINCT prompt) AS prompts,"
      " count(DISTINCT phase) AS steps, group_concat(DISTINCT prompt) AS which FROM readout"
      " WHERE phase LIKE 'decode%' AND prompt IS NOT NULL AND top1_id IS NOT NULL" +
      other_prompts_sql(run.info) +
      " GROUP BY variant, repeat HAVING min(top1_id) = max(top1_id) AND count(DISTINCT prompt) > 1"
      " AND count(DISTINCT phase) >= " +
      std::to_string(kManySteps);
  TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
  if (found.rows.empty()) return {};
  const std::string token = value_text(found.rows[0][2]), prompts = value_text(found.rows[0][3]),
                    steps = value_text(found.rows[0][4]), which = prompts_of(found, 0);
  run.add("decode_collapsed", sql,
          "top1_id is " + token + " in all " + steps + " decode steps of all " + prompts +
              " prompts (" + which + "): decode collapses to one token",
          "top1_id es " + token + " en los " + steps + " pasos de decode de las " + prompts +
              " entradas (" + which + "): el decode colapsa a un solo token");
  return {};
}

// ── equal hashes
// ──────────────────────────────────────────────────────────────────────────────────

// What the embedding and layer 0 compute of one token alone, or of it and its position.
constexpr const char* kOfOneToken =
    "('embd_w_hash', 'embed_out', 'x_in', 'attn_norm', 'q_pre', 'k_pre', 'v_pre', 'q', 'k', 'v')";

// Where two prompts may rightly share a tensor: what layer 0 computes from the same token.
std::string past_the_embedding(const KindInfo& kind, const std::string& field) {
  if (kind.find("layer") == nullptr) return "";
  if (kind.find("point") != nullptr) {
    return std::string(" AND (layer > 0 OR point NOT IN ") + kOfOneToken + ")";
  }
  const bool after_attention = field.starts_with("attn_out") || field.starts_with("x_out");
  return after_attention ? "" : " AND layer > 0";
}

// … but not of different tokens, where readout says which went in.
Result<> equal_hashes_of_other_tokens(LintRun& run) {
  const KindInfo* trace = run.kind("stage_trace");
  const KindInfo* readout = run.kind("readout");
  if (trace == nullptr || readout == nullptr) return {};
  for (const char* field : {"phase", "step", "point", "layer", "hash"})
    if (trace->find(field) == nullptr) return {};
  if (readout->find("token_id") == nullptr || readout->find("step") == nullptr) return {};
  const std::string group = "s.variant, s.repeat, s.phase, s.step, s.point, s.layer, s.hash";
  const std::string sql =
      "SELECT " + group +
      ", count(DISTINCT r.token_id) AS tokens, group_concat(DISTINCT s.prompt) AS which"
      " FROM stage_trace s JOIN readout r USING (variant, prompt, repeat, step)"
      " WHERE s.layer <= 0 AND s.step > 0 AND s.point IN " +
      kOfOneToken + " AND s.hash IS NOT NULL AND r.token_id IS NOT NULL GROUP BY " + group +
      " HAVING count(DISTINCT r.token_id) > 1";
  TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
  if (found.rows.empty()) return {};
  const std::string where = row_place(found, 0, {"phase", "point", "layer"});
  const std::string which = prompts_of(found, 0), count = std::to_string(found.rows.size());
  run.add("hash_equal_across_prompts", sql,
          "stage_trace.hash is the same for different input tokens (" + which + ") in " + count +
              " places, first " + where,
          "stage_trace.hash es igual para tokens de entrada distintos (" + which + ") en " + count +
              " lugares, primero " + where);
  return {};
}

Result<> equal_hashes(LintRun& run, const KindInfo& kind, const std::string& field) {
  // What names the prompt in the lines would keep prompts apart.
  const std::vector<std::string> keys = without(kind.keys(), "prompt_id");
  const std::string name = sql_name(field), view = sql_name(kind.view);
  if (has(keys, "phase")) {
    const std::string group = "variant, repeat, " + list_sql(keys) + ", " + name;
    const std::string sql = "SELECT " + group +
                            ", count(DISTINCT prompt) AS prompts, group_concat(DISTINCT prompt) AS "
                            "which FROM " +
                            view + " WHERE " + name + " IS NOT NULL AND prompt IS NOT NULL" +
                            other_prompts_sql(run.info) + past_the_embedding(kind, field) +
                            " GROUP BY " + group + " HAVING count(DISTINCT prompt) > 1";
    TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
    if (!found.rows.empty()) {
      const std::string where = row_place(found, 0, keys), which = prompts_of(found, 0);
      const std::string count = std::to_string(found.rows.size());
      run.add("hash_equal_across_prompts", sql,
              kind.name + "." + field + " is the same for different prompts (" + which + ") in " +
                  count + " places, first " + where,
              kind.name + "." + field + " es igual para textos de entrada distintos (" + which +
                  ") en " + count + " lugares, primero " + where);
    }
  }
  if (has(keys, "layer")) {
    const std::string group =
        "variant, prompt, repeat, " + list_sql(without(keys, "layer")) + ", " + name;
    const std::string sql = "SELECT " + group +
                            ", count(DISTINCT layer) AS layers, group_concat(DISTINCT layer) AS "
                            "which FROM " +
                            view + " WHERE " + name + " IS NOT NULL AND layer >= 0 GROUP BY " +
                            group + " HAVING count(DISTINCT layer) > 1";
    TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
    if (!found.rows.empty()) {
      const std::string where = row_place(found, 0, {"variant", "prompt", "phase", "head"});
      run.add("hash_equal_across_layers", sql,
              kind.name + "." + field + " is the same in layers " + prompts_of(found, 0) + " (" +
                  where + ")",
              kind.name + "." + field + " es igual en las capas " + prompts_of(found, 0) + " (" +
                  where + ")");
    }
  }
  return {};
}

Result<> unequal_repeats(LintRun& run, const KindInfo& kind, const std::string& field) {
  std::vector<std::string> group = kind.keys();
  group.insert(group.begin(), {"variant", "prompt"});
  const std::string name = sql_name(field);
  const std::string sql = "SELECT " + list_sql(group) + ", count(DISTINCT " + name +
                          ") AS hashes FROM " + sql_name(kind.view) + " GROUP BY " +
                          list_sql(group) +
                          " HAVING count(DISTINCT repeat) > 1 AND count(DISTINCT " + name + ") > 1";
  TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
  if (found.rows.empty()) return {};
  const std::string where = row_place(found, 0, group);
  run.add("repeats_differ", sql,
          "numerics are strict, yet repeats are not bitwise equal: " + kind.name + "." + field +
              " at " + where,
          "la aritmética es strict, pero las repeticiones no son iguales bit a bit: " + kind.name +
              "." + field + " en " + where);
  return {};
}

Result<> hashes(LintRun& run) {
  const auto numerics = run.info.environment.find("numerics");
  const bool strict =
      numerics != run.info.environment.end() && numerics->second == std::set<std::string>{"strict"};
  for (const KindInfo& kind : run.kinds) {
    for (const FieldInfo& field : kind.fields) {
      if (field.role != FieldRole::hash) continue;
      TRY(equal_hashes(run, kind, field.column));
      if (strict) TRY(unequal_repeats(run, kind, field.column));
    }
  }
  return equal_hashes_of_other_tokens(run);
}

// ── differences of exactly zero
// ───────────────────────────────────────────────────────────────────

Result<> zero_differences(LintRun& run) {
  for (const KindInfo& kind : run.kinds) {
    const bool two_arms = kind.name.find("_vs_") != std::string::npos;
    if (!two_arms && kind.name != "attn_decode_verify") continue;
    for (const std::string field : {"attn_out_mae", "mae", "rel_l2"}) {
      if (kind.find(field) == nullptr) continue;
      std::vector<std::string> columns = kind.keys();
      columns.insert(columns.begin(), {"variant", "prompt"});
      const std::string view = sql_name(kind.view);
      TRY_ASSIGN(const Table counts,
                 select(run.store, run.info.id,
                        "SELECT count(" + field + "), sum(" + field + " = 0) FROM " + view));
      const int64_t all = counts.rows[0][0].integer;
      if (all == 0 || counts.rows[0][1].integer != all) continue;
      const std::string count = std::to_string(all);
      run.add(
          "difference_exactly_zero",
          "SELECT " + list_sql(columns) + ", " + field + " FROM " + view + " WHERE " + field +
              " = 0",
          kind.name + "." + field + " is exactly 0 in all " + count + " records: " +
              (two_arms ? "two kernels that differ round differently, so both arms probably ran "
                          "the same code or compared one buffer"
                        : "an fp32 result does not equal an fp64 reference everywhere, so the "
                          "reference probably is the result"),
          kind.name + "." + field + " es exactamente 0 en los " + count + " registros: " +
              (two_arms ? "dos núcleos distintos redondean distinto; probablemente ambos brazos "
                          "corrieron el mismo código o se comparó un solo búfer"
                        : "un resultado fp32 no iguala en todo a una referencia fp64; "
                          "probablemente la referencia es el resultado"));
      break;
    }
  }
  return {};
}

// ── errors that the invariants did not see
// ────────────────────────────────────────────────────────

Result<> unseen_errors(LintRun& run) {
  const KindInfo* verify = run.kind("attn_decode_verify");
  if (verify == nullptr) return {};
  std::string error_en, error_es;
  if (verify->find("attn_out_mae") != nullptr) {
    // Files of past runs may hold several prompts that only the length tells apart.
    const std::string cell = verify->find("seq_len_used") != nullptr
                                 ? "variant, prompt, seq_len_used, phase, repeat"
                                 : "variant, prompt, NULL AS seq_len_used, phase, repeat";
    const std::string sql =
        "SELECT * FROM (SELECT variant, prompt, phase, repeat, layer, attn_out_mae,"
        " lag(layer) OVER w AS layer_before, attn_out_mae / lag(attn_out_mae) OVER w AS growth"
        " FROM (SELECT DISTINCT " +
        cell +
        ", layer, attn_out_mae FROM attn_decode_verify WHERE attn_out_mae IS NOT NULL)"
        " WINDOW w AS (PARTITION BY variant, prompt, seq_len_used, phase, repeat ORDER BY layer))"
        " WHERE growth > " +
        number_text(kErrorJump) + " ORDER BY growth DESC";
    TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
    if (!found.rows.empty()) {
      const auto& row = found.rows[0];
      char growth[32];
      std::snprintf(growth, sizeof growth, "%.2g", to_double(row[7]));
      const std::string layers = value_text(row[6]) + " → " + value_text(row[4]);
      const std::string where = row_place(found, 0, {"variant", "prompt", "phase"});
      error_en = "attn_out_mae grows " + std::string(growth) + " times between layers " + layers;
      error_es = "attn_out_mae crece " + std::string(growth) + " veces entre las capas " + layers;
      run.add("error_jump", sql,
              error_en + " (" + where +
                  "): the first wrong layer is there, not where the error is largest",
              error_es + " (" + where +
                  "): la primera capa errónea está ahí, no donde el error es mayor");
    }
  }
  if (verify->find("rel_l2") != nullptr && verify->find("bound") != nullptr) {
    TRY_ASSIGN(const Table over, select(run.store, run.info.id,
                                        "SELECT count(*) FROM attn_decode_verify"
                                        " WHERE rel_l2 > bound"));
    if (const int64_t count = over.rows[0][0].integer; count > 0) {
      error_en = "rel_l2 is over its bound in " + std::to_string(count) + " records";
      error_es = "rel_l2 supera su cota en " + std::to_string(count) + " registros";
    }
  }
  if (error_en.empty() || verify->find("kv_invariant_ok") == nullptr) return {};
  const std::string sql =
      "SELECT count(*) AS records, sum(kv_invariant_ok) AS invariants_ok,"
      " max(attn_out_mae) AS largest_attn_out_mae FROM attn_decode_verify"
      " WHERE kv_invariant_ok IS NOT NULL";
  TRY_ASSIGN(const Table ok, select(run.store, run.info.id, sql));
  const int64_t records = ok.rows[0][0].integer;
  if (records == 0 || ok.rows[0][1].integer != records) return {};
  const std::string count = std::to_string(records);
  run.add(
      "invariants_blind", sql,
      "kv_invariant_ok is true in all " + count + " records although " + error_en +
          ": the invariants look at what was written to the cache, so a wrong read of it passes "
          "them, as does an error in a formula that they share",
      "kv_invariant_ok es true en los " + count + " registros aunque " + error_es +
          ": los invariantes miran lo que se escribió en la caché, así que una lectura errónea "
          "los cumple, igual que un error en una fórmula que comparten");
  return {};
}

// ── rows, alignment, flags, gates
// ─────────────────────────────────────────────────────────────────

Result<> wrong_rows(LintRun& run) {
  const KindInfo* readout = run.kind("readout");
  if (readout == nullptr || readout->find("readout_mismatch") == nullptr) return {};
  const std::string sql =
      "SELECT variant, prompt, repeat, phase, token_index, expected_last_index FROM readout"
      " WHERE readout_mismatch = 1 OR token_index <> expected_last_index";
  TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
  if (found.rows.empty()) return {};
  const std::string where = row_place(found, 0, {"variant", "prompt", "phase"});
  const std::string rows = value_text(found.rows[0][4]), last = value_text(found.rows[0][5]);
  if (rows == last) {  // a past report may give the verdict alone
    run.add("readout_wrong_row", sql,
            "readout_mismatch is true (" + where + "), without the two rows in this record",
            "readout_mismatch es true (" + where + "), sin las dos filas en ese registro");
    return {};
  }
  run.add("readout_wrong_row", sql,
          "the readout took row " + rows + " where the last position is row " + last + " (" +
              where + ")",
          "la lectura tomó la fila " + rows + " y la última posición es la fila " + last + " (" +
              where + ")");
  return {};
}

Result<> misaligned(LintRun& run) {
  const KindInfo* align = run.kind("attn_align");
  if (align == nullptr || align->find("violations") == nullptr) return {};
  const std::string sql =
      "SELECT variant, prompt, repeat, layer, tensor, violations, checks, required_bytes FROM "
      "attn_align WHERE violations > 0";
  TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
  if (found.rows.empty()) return {};
  const std::string where = row_place(found, 0, {"variant", "prompt", "layer", "tensor"});
  const std::string count = std::to_string(found.rows.size());
  run.add(
      "misaligned", sql,
      count + " buffers have addresses below the alignment that the kernel needs, first " + where,
      count + " búferes tienen direcciones por debajo de la alineación requerida, primero " +
          where);
  return {};
}

Result<> unread_flags(LintRun& run) {
  for (const VariantInfo& variant : run.info.variants) {
    for (const auto& [name, flag] : variant.flags) {
      if (flag.read != false || flag.source == "default") continue;
      const std::string sql =
          "SELECT DISTINCT variant, name, value, source, \"read\" FROM flags WHERE "
          "name = " +
          quoted_text(name);
      run.add_once("flag_not_read", sql, name + "=" + flag.value + " was set and nothing read it",
                   name + "=" + flag.value + " fue fijada y nada la leyó");
    }
  }
  return {};
}

Result<> empty_gates(LintRun& run) {
  const std::string sql = "SELECT id, status, message FROM gates WHERE status = 'not_measured'";
  TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
  for (const auto& row : found.rows) {
    const std::string id = value_text(row[0]);
    run.add("gate_measured_nothing", sql, "gate " + id + " is not measured: " + value_text(row[2]),
            "el criterio " + id + " no está medido");
  }
  return {};
}

}  // namespace

const KindInfo* LintRun::kind(std::string_view name) const {
  const auto at =
      std::find_if(kinds.begin(), kinds.end(), [&](const KindInfo& k) { return k.name == name; });
  return at == kinds.end() ? nullptr : &*at;
}

void LintRun::add(std::string id, std::string query, std::string en, std::string es) {
  found.push_back(Lint{std::move(id), std::move(en), std::move(query), std::move(es)});
}

void LintRun::add_once(std::string id, std::string query, std::string en, std::string es) {
  const bool known = std::any_of(found.begin(), found.end(), [&](const Lint& lint) {
    return lint.id == id && lint.message == en;
  });
  if (!known) add(std::move(id), std::move(query), std::move(en), std::move(es));
}

Result<std::vector<Lint>> lints(Store& store, int64_t run) {
  TRY_ASSIGN(RunInfo info, load_run(store, run));
  TRY_ASSIGN(auto kinds, kinds_of_run(store, run));
  LintRun context{store, std::move(info), std::move(kinds), {}};
  TRY(arms_that_ran_one_kernel(context));
  TRY(constant_figures(context));
  TRY(collapsed_decode(context));
  TRY(stuck_decode(context));
  TRY(hashes(context));
  TRY(zero_differences(context));
  TRY(unseen_errors(context));
  TRY(wrong_rows(context));
  TRY(misaligned(context));
  TRY(kinds_missing_in_an_arm(context));
  TRY(unread_flags(context));
  TRY(empty_gates(context));
  TRY(past_lints(context));
  return std::move(context.found);
}

}  // namespace greta::store
