#include "lints/lints_past.h"

#include <algorithm>

#include "contract/text.h"
#include "db/sqlite.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

constexpr std::string_view kTokenReplay = "GRETA_TRACE_STAGE_DEBUG_INPUT";
// A point where prefill and decode are as near as this has seen the same token.
constexpr double kSameToken = 1e-4;

bool is_error(const FieldInfo& field) {
  const std::string& name = field.column;
  return name.find("mae") != std::string::npos || name.find("max_diff") != std::string::npos ||
         name.find("rel_l2") != std::string::npos;
}

bool sets_flag(const RunInfo& run, std::string_view name) {
  return std::any_of(run.variants.begin(), run.variants.end(), [&](const VariantInfo& variant) {
    return variant.flags.contains(std::string(name)) || variant.axes.contains(std::string(name));
  });
}

// Arms that force different routes and have the same errors to the last digit, everywhere.
Result<> arms_with_equal_errors(LintRun& run) {
  const auto& variants = run.info.variants;
  // A report may give the values of its arms in one flag: valu|mfma|auto.
  const bool forced = std::any_of(variants.begin(), variants.end(), [](const VariantInfo& variant) {
    const auto forces = [](const auto& name) { return name.find("FORCE") != std::string::npos; };
    return std::any_of(variant.axes.begin(), variant.axes.end(),
                       [&](const auto& axis) { return forces(axis.first); }) ||
           std::any_of(variant.flags.begin(), variant.flags.end(), [&](const auto& flag) {
             return forces(flag.first) && flag.second.value.find('|') != std::string::npos;
           });
  });
  if (!forced) return {};
  for (const KindInfo& kind : run.kinds) {
    const std::string view = sql_name(kind.view);
    TRY_ASSIGN(const Table arms,
               select(run.store, run.info.id, "SELECT count(DISTINCT variant) FROM " + view));
    const int64_t count = arms.rows[0][0].integer;
    std::vector<std::string> group = {"prompt"};
    for (const std::string& key : kind.keys()) group.push_back(sql_name(key));
    std::string sql;
    for (const FieldInfo& field : kind.fields) {
      if (!is_error(field)) continue;
      const std::string name = sql_name(field.column);
      sql += (sql.empty() ? "" : " UNION ALL ") + std::string("SELECT ") + joined(group, ", ") +
             ", " + quoted_text(field.column) + " AS figure, " + name +
             " AS value, count(DISTINCT variant) AS arms FROM " + view + " WHERE " + name +
             " <> 0" + " GROUP BY " + joined(group, ", ") + ", " + name;
    }
    if (count < 2 || sql.empty()) continue;
    TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
    const bool all_equal = std::all_of(found.rows.begin(), found.rows.end(), [&](const auto& row) {
      return row.back().integer == count;
    });
    if (found.rows.size() < 2 || !all_equal) continue;
    const std::string figures = std::to_string(found.rows.size()), of = std::to_string(count);
    run.add("arms_equal_errors", sql,
            kind.name + ": all " + figures + " errors are equal to the last digit in all " + of +
                " arms, which force different routes: they probably ran the same code",
            kind.name + ": los " + figures + " errores son iguales hasta el último dígito en los " +
                of +
                " brazos, que fuerzan rutas distintas: probablemente corrieron el mismo código");
  }
  return {};
}

// A probe that weighs two layouts and gives both the same mark.
Result<> probe_without_a_choice(LintRun& run) {
  for (const KindInfo& kind : run.kinds) {
    for (const FieldInfo& field : kind.fields) {
      std::string other = field.column;
      if (other.starts_with("row_")) {
        other.replace(0, 4, "col_");
      } else if (other.ends_with("_row")) {
        other.replace(other.size() - 3, 3, "col");
      } else {
        continue;
      }
      if (kind.find(other) == nullptr || field.role == FieldRole::hash) continue;
      const std::string row = sql_name(field.column), col = sql_name(other);
      const std::string sql = "SELECT variant, prompt, " + row + ", " + col + ", " + row + " = " +
                              col + " AS equal FROM " + sql_name(kind.view) + " WHERE " + row +
                              " IS NOT NULL AND " + col + " IS NOT NULL";
      TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
      const bool all_equal = std::all_of(found.rows.begin(), found.rows.end(),
                                         [](const auto& one) { return one.back().integer == 1; });
      if (found.rows.empty() || !all_equal) continue;
      const std::string names = field.column + " = " + other, first = value_text(found.rows[0][2]),
                        count = std::to_string(found.rows.size());
      run.add("probe_cannot_tell", sql,
              kind.name + ": " + names + " in all " + count + " records (first " + first +
                  "): the probe cannot tell the layouts apart, whichever it names",
              kind.name + ": " + names + " en los " + count + " registros (primero " + first +
                  "): la sonda no distingue los órdenes, nombre el que nombre");
    }
  }
  return {};
}

// Prefill's last position against decode0, without a sign that both held one token.
Result<> unlike_positions(LintRun& run) {
  if (sets_flag(run.info, kTokenReplay)) return {};
  for (const KindInfo& kind : run.kinds) {
    if (kind.find("phase") == nullptr) continue;
    std::string sql;
    for (const FieldInfo& field : kind.fields) {
      if (!field.column.ends_with("_mae") || field.column.starts_with("weight")) continue;
      const std::string name = sql_name(field.column);
      sql += (sql.empty() ? "" : " UNION ALL ") + std::string("SELECT variant, prompt, ") +
             quoted_text(field.column) + " AS figure, " + name + " AS value FROM " +
             sql_name(kind.view) + " WHERE phase = 'prefill_last_vs_decode0' AND " + name +
             " IS NOT NULL";
    }
    if (sql.empty()) continue;
    TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
    double least = found.rows.empty() ? 0 : to_double(found.rows[0].back());
    for (const auto& row : found.rows) least = std::min(least, to_double(row.back()));
    if (!(least > kSameToken)) continue;
    const std::string count = std::to_string(found.rows.size()), value = number_text(least);
    const std::string flag(kTokenReplay);
    run.add("unlike_positions", sql,
            kind.name + ": prefill_last and decode0 differ in all " + count + " figures (least " +
                value + "), and " + flag +
                ", which feeds both the same token, is not among the flags: two different tokens "
                "differ that much by themselves",
            kind.name + ": prefill_last y decode0 difieren en las " + count + " cifras (mínimo " +
                value + "), y " + flag +
                ", que da a ambas el mismo token, no está entre los flags: dos tokens distintos "
                "difieren así por sí solos");
  }
  return {};
}

// Equal hashes of the first elements of a tensor, taken for equal tensors.
Result<> hash_of_a_part(LintRun& run) {
  for (const KindInfo& kind : run.kinds) {
    if (kind.find("sample_n") == nullptr) continue;
    for (const std::string equal : {"hash_match", "hash_equal"}) {
      if (kind.find(equal) == nullptr) continue;
      const std::string sql = "SELECT variant, prompt, sample_n, " + equal + " FROM " +
                              sql_name(kind.view) + " WHERE sample_n IS NOT NULL AND " + equal +
                              " = 1";
      TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
      if (found.rows.empty()) continue;
      const std::string elements = value_text(found.rows[0][2]);
      run.add("hash_of_a_part", sql,
              kind.name + "." + equal + " is of the " + elements +
                  " elements that were sampled: equal hashes do not say that the tensors are equal",
              kind.name + "." + equal + " es de los " + elements +
                  " elementos muestreados: hashes iguales no dicen que los tensores sean iguales");
    }
  }
  return {};
}

// Hashes of samples, by the record's own sizes: part of a row was looked at.
Result<> hash_of_a_sample(LintRun& run) {
  const KindInfo* const trace = run.kind("stage_trace");
  if (trace == nullptr) return {};
  for (const char* field : {"hash", "sample_n", "stride_elems"})
    if (trace->find(field) == nullptr) return {};
  const std::string sql =
      "SELECT point, sample_n, stride_elems, count(*) AS records FROM stage_trace"
      " WHERE hash IS NOT NULL AND sample_n < stride_elems GROUP BY point, sample_n, stride_elems";
  TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
  if (found.rows.empty()) return {};
  const std::string part = value_text(found.rows[0][1]), whole = value_text(found.rows[0][2]);
  run.add("hash_of_a_part", sql,
          "stage_trace sampled " + part + " of " + whole +
              " elements, and its hash may be of those alone: equal hashes do not say that the "
              "tensors are equal",
          "stage_trace muestreó " + part + " de " + whole +
              " elementos y su hash puede ser solo de ellos: hashes iguales no dicen que los "
              "tensores sean iguales");
  return {};
}

// Counts of what passed, and no record of what was looked at.
Result<> counts_alone(LintRun& run) {
  const KindInfo* const summary = run.kind("summary");
  if (summary == nullptr || summary->find("ok") == nullptr) return {};
  const bool measured = std::any_of(run.kinds.begin(), run.kinds.end(), [](const KindInfo& kind) {
    return std::any_of(kind.fields.begin(), kind.fields.end(), [](const FieldInfo& field) {
      return is_error(field) || field.role == FieldRole::hash;
    });
  });
  if (measured) return {};
  const std::string sql = "SELECT * FROM summary WHERE ok > 0";
  TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
  if (found.rows.empty()) return {};
  run.add(
      "counts_alone", sql,
      "counts of what passed, and not one difference or hash of what was compared: a check that "
      "found no record to look at counts the same",
      "conteos de lo aprobado y ninguna diferencia ni hash de lo comparado: una comprobación que "
      "no halló registros cuenta lo mismo");
  return {};
}

}  // namespace

Result<> past_lints(LintRun& run) {
  if (run.info.provenance != "recorded") return {};
  TRY(arms_with_equal_errors(run));
  TRY(probe_without_a_choice(run));
  TRY(unlike_positions(run));
  TRY(hash_of_a_part(run));
  TRY(hash_of_a_sample(run));
  return counts_alone(run);
}

}  // namespace greta::store
