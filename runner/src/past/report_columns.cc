#include "past/report_columns.h"

#include <algorithm>
#include <map>
#include <set>

#include "contract/schema.h"
#include "contract/text.h"
#include "past/past_names.h"
#include "past/report_cell.h"

namespace greta::runner {
namespace {

struct Alias {
  std::string_view name, means;
};

// Heads of key columns, in both languages.
constexpr Alias kKeyHeads[] = {
    {"layer", "layer"},
    {"layers", "layer"},
    {"capa", "layer"},
    {"capas", "layer"},
    {"prompt", "prompt"},
    {"prompt_id", "prompt"},
    {"head", "head"},
    {"cabeza", "head"},
    {"phase", "phase"},
    {"fase", "phase"},
    {"step", "step"},
    {"paso", "step"},
    {"variant", "variant"},
    {"variante", "variant"},
    {"config", "variant"},
    {"configuracion", "variant"},
    {"configuration", "variant"},
    {"exp", "variant"},
    {"experiment", "variant"},
    {"experimento", "variant"},
    {"case", "variant"},
    {"caso", "variant"},
    {"arm", "variant"},
    {"brazo", "variant"},
    {"setting", "variant"},
    {"context", "context"},
    {"contexto", "context"},
    {"batch", "batch"},
    {"batch_size", "batch"},
    {"lote", "batch"},
    {"run", "run"},
    {"corrida", "run"},
};
constexpr std::string_view kLabelHeads[] = {"",      "metric", "metrica", "field",
                                            "campo", "figure", "cifra",   "measure"};
constexpr std::string_view kValueHeads[] = {"value", "valor", "result", "resultado"};

// Short names of fields.
constexpr Alias kFieldHeads[] = {
    {"top1", "top1_id"}, {"top_1", "top1_id"},    {"top2", "top2_id"},  {"top_2", "top2_id"},
    {"brecha", "gap"},   {"entropia", "entropy"}, {"estado", "status"}, {"veredicto", "verdict"},
};

// Kinds of past traces by fields that only they have and that the contract does not describe.
constexpr Alias kPastFields[] = {
    {"hash_equal", "mfma_vs_valu"},
    {"softmax_mae", "attn_softmax_trace"},
    {"pv_mae", "attn_vacc_trace"},
    {"mae_row", "embed_verify"},
    {"mae_col", "embed_verify"},
    {"cpu_probe_agrees_gpu", "delta"},
    {"lm_head_route", "delta"},
    {"norm_out_mae", "attn_l0_pipe"},
    {"wo_layout_best", "wo_verify"},
    {"cpu_probe_prefill_top1", "delta"},
    {"cpu_probe_decode0_top1", "delta"},
    {"q_mae", "attn_l0_pipe"},
    {"k_mae", "attn_l0_pipe"},
    {"v_mae", "attn_l0_pipe"},
    {"x_after_mlp_mae", "post_wo_trace"},
};

// What the text above a table calls a kind.
constexpr Alias kHeadingKinds[] = {
    {"mfma vs valu", "mfma_vs_valu"},      {"attn_out vs ref", "attn_decode_verify"},
    {"attn vs ref", "attn_decode_verify"}, {"readout", "readout"},
    {"prefill vs decode", "readout"},      {"landscape", "landscape"},
    {"stage trace", "stage_trace"},        {"precision", "attn_precision_ref"},
    {"embedding", "embed_verify"},         {"rmsnorm", "rmsnorm_trace"},
};

template <size_t N>
std::string_view meaning(const Alias (&table)[N], std::string_view name) {
  for (const Alias& alias : table)
    if (alias.name == name) return alias.means;
  return {};
}

// "decode0_top1" and "gap_prefill" are of one phase; returns the rest.
std::string without_phase(const std::string& name, std::string& phase) {
  std::vector<std::string> words = name_words(name);
  const auto find = [&](std::string_view word) {
    return std::find(words.begin(), words.end(), word);
  };
  if (const auto at = find("prefill"); at != words.end()) {
    const auto behind = at + 1;
    const bool last = behind != words.end() && (*behind == "last" || *behind == "ultimo");
    words.erase(at, at + (last ? 2 : 1));
    phase = "prefill_last";
  } else {
    const auto decode = std::find_if(words.begin(), words.end(), [](const std::string& word) {
      return word == "decode" || (word.starts_with("decode") && all_digits(word.substr(6)));
    });
    if (decode == words.end()) return name;
    const auto step = decode + 1;
    const bool counted = *decode == "decode" && step != words.end() && all_digits(*step);
    phase = counted ? *decode + *step : *decode == "decode" ? "decode0" : *decode;
    words.erase(decode, decode + (counted ? 2 : 1));
  }
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : "_") + word;
  return out;
}

// What stands behind a head's last blank or comma and can be nothing but its unit. Behind a comma a
// letter is one too: "Power, W".
constexpr std::string_view kUnitsBehindBlank[] = {"%",     "ms",  "us",       "µs", "μs",  "GB",
                                                  "GiB",   "MB",  "MiB",      "KB", "KiB", "GB/s",
                                                  "tok/s", "t/s", "tokens/s", "°C"};

// The unit of a head, taken off `text` where it stands in brackets or behind a comma. Behind a
// blank the field's name keeps its letters: `decode tok/s` is decode_tok_s.
std::string take_unit(std::string& text) {
  for (const auto& [opens, closes] : {std::pair{'(', ')'}, std::pair{'[', ']'}}) {
    const size_t open = text.rfind(opens);
    if (open == std::string::npos || !text.ends_with(closes)) continue;
    const std::string name = text.substr(0, open);
    const std::string unit =
        unit_under(unit_of(text.substr(open + 1, text.size() - open - 2)), name);
    if (unit.empty()) continue;
    text = name;
    trim(text);
    return unit;
  }
  if (contains(kUnitsBehindBlank, text)) return unit_of(text);
  const size_t blank = text.rfind(' ');
  if (blank == std::string::npos || blank == 0) return {};
  const std::string behind = text.substr(blank + 1);
  const bool comma = text[blank - 1] == ',';
  if (comma && behind != "x" && behind != "×") {
    const std::string name = text.substr(0, blank - 1);
    const std::string unit = unit_under(unit_of(behind), name);
    if (!unit.empty()) text = name;
    return unit;
  }
  return contains(kUnitsBehindBlank, behind) ? unit_of(behind) : std::string();
}

// Fields that tell a kind: what many kinds have, or what any table may have, does not.
bool tells(const Field& field) {
  if (field.role == FieldRole::key || field.role == FieldRole::context) return false;
  return field.name.find('_') != std::string::npos || field.name == "gap" ||
         field.name == "entropy";
}

// Columns of one table are different figures, and no key is said twice: `gap` and `gap (%)`, `top1`
// and `top1_id`, `Layer` and `Capa`.
void tell_apart(std::vector<ReportColumn>& columns) {
  using Use = ReportColumn::Use;
  const auto same = [](const ReportColumn& a, const ReportColumn& b) {
    return b.use == a.use && a.name == b.name && a.keys == b.keys;
  };
  std::set<std::string> keys;
  for (ReportColumn& column : columns) {
    if (column.use != Use::key || keys.insert(column.name).second) continue;
    column.use = Use::field;
    column.name = field_name(column.head);
    if (keys.contains(column.name)) column.name += "_2";
  }
  for (size_t i = 1; i < columns.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      ReportColumn &first = columns[j], &later = columns[i];
      if (later.use != Use::field || !same(first, later)) continue;
      if (first.unit != later.unit) {
        ReportColumn& with_unit = later.unit.empty() ? first : later;
        with_unit.name += "_" + plain_name(with_unit.unit);
      } else if (first.head != later.head) {
        ReportColumn& other = field_name(later.head) == later.name ? first : later;
        other.name = field_name(other.head);
      }
    }
  }
  // What is still of one name is counted.
  std::set<std::string> taken;
  for (ReportColumn& column : columns) {
    if (column.use != Use::field && column.use != Use::values) continue;
    const std::string place =
        (column.use == Use::field ? "field " : "values ") + column.keys.dump() + " " + column.name;
    std::string ending;
    for (int count = 2; !taken.insert(place + ending).second; ++count)
      ending = "_" + std::to_string(count);
    (column.use == Use::field ? column.name : column.ending) += ending;
  }
}

}  // namespace

ReportColumn report_column(std::string_view head, const std::vector<std::string>& prompts) {
  ReportColumn out;
  std::string text(head);
  trim(text);
  out.written = text;
  out.unit = take_unit(text);
  out.head = text;
  const std::string name = plain_name(text);
  // `Step (ms)` is how long it took.
  const bool is_count = out.unit.empty() || out.unit == "tokens";
  if (const auto key = meaning(kKeyHeads, name); !key.empty() && is_count) {
    out.use = ReportColumn::Use::key;
    out.name = key;
    return out;
  }
  if (text.find("mfma_hash") != std::string::npos && text.find("valu_hash") != std::string::npos) {
    out.name = "hash_equal";
    out.kind = "mfma_vs_valu";
    return out;
  }
  for (const std::string& prompt : prompts) {
    if (!text.starts_with(prompt)) continue;
    const std::string rest = text.substr(prompt.size());
    if (!rest.empty() && rest[0] != ' ') continue;
    if (!rest.empty()) {  // "p4_sys decode0_top1"
      out = report_column(rest, {});
      out.written = head;
      trim(out.written);
    }
    if (rest.empty()) out.use = ReportColumn::Use::values;
    out.keys["prompt"] = prompt;
    return out;
  }
  std::string phase;
  std::string field = without_phase(name, phase);
  if (!phase.empty() && field.empty()) {
    out.use = ReportColumn::Use::values;
    out.keys["phase"] = phase;
    return out;
  }
  const std::string short_name = name_with_unit(std::string(meaning(kFieldHeads, field)), out.unit);
  if (!short_name.empty()) field = short_name;
  const Kind* const readout = builtin_schema().find("readout");
  if (!phase.empty() && readout != nullptr && readout->find(field) != nullptr) {
    out.keys["phase"] = phase;
    out.kind = "readout";
  } else if (short_name.empty()) {
    field = field_name(text);  // prefill_time is a name of its own
  }
  if (field.empty()) field = out.unit;  // a head that is `%` and nothing else
  if (contains(kValueHeads, name)) out.use = ReportColumn::Use::values;
  if (contains(kLabelHeads, name) && name.empty() == text.empty())
    out.use = ReportColumn::Use::label;
  out.name = field;
  return out;
}

std::vector<ReportColumn> report_columns(const std::vector<std::string>& heads,
                                         const std::vector<std::string>& prompts) {
  std::vector<ReportColumn> out;
  for (const std::string& head : heads) out.push_back(report_column(head, prompts));
  const bool has_values = std::any_of(out.begin(), out.end(), [](const ReportColumn& c) {
    return c.use == ReportColumn::Use::values;
  });
  bool labelled = false;
  for (ReportColumn& column : out) {
    if (column.use != ReportColumn::Use::label) continue;
    // Without columns of values, or beside another label, the column is a field like others.
    if (!has_values || labelled) {
      column.use = ReportColumn::Use::field;
    } else {
      labelled = true;
    }
  }
  for (ReportColumn& column : out) {
    if (labelled || column.use != ReportColumn::Use::values) continue;
    column.use = ReportColumn::Use::field;
    if (column.name.empty()) column.name = "value";
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i].use != ReportColumn::Use::field || !out[i].name.empty()) continue;
    out[i].name = i == 0 && out[i].head.empty() ? "row" : "column_" + std::to_string(i + 1);
  }
  tell_apart(out);
  return out;
}

std::string phase_name(std::string_view text) {
  const std::vector<std::string> words = name_words(text);
  const std::string all = joined(words, "_");
  if (all == "prefill" || all == "decode") return all;
  if (all == "prefill_last" || all == "prefill_ultimo" || all == "ultimo_prefill")
    return "prefill_last";
  std::string step = all.starts_with("decode") ? all.substr(6) : "";
  if (step.starts_with("_step_")) step.erase(0, 6);
  if (step.starts_with('_')) step.erase(0, 1);
  const bool counted = all_digits(step) && (step == "0" || step[0] != '0');
  return counted ? "decode" + step : "";
}

ReportColumn report_label(std::string_view cell) {
  ReportColumn out = report_column(cell, {});
  if (out.use == ReportColumn::Use::field) return out;
  return {.name = field_name(out.head),
          .unit = out.unit,
          .kind = {},
          .head = out.head,
          .written = out.written,
          .ending = {}};
}

std::string name_with_unit(const std::string& name, const std::string& unit) {
  const bool is_id = name == "top1_id" || name == "top2_id";
  return is_id && !unit.empty() ? name.substr(0, 4) : name;
}

std::string report_kind(const std::vector<std::string>& fields,
                        const std::vector<std::string>& hints,
                        const std::vector<std::string>& heading_words) {
  std::map<std::string, int> votes;
  for (const std::string& hint : hints)
    if (!hint.empty()) votes[hint] += 1;
  for (const std::string& name : std::set<std::string>(fields.begin(), fields.end())) {
    if (const auto kind = meaning(kPastFields, name); !kind.empty()) votes[std::string(kind)] += 1;
    for (const Kind& kind : builtin_schema().kinds) {
      const Field* const field = kind.find(name);
      if (field != nullptr && tells(*field)) votes[kind.name] += 1;
    }
  }
  int most = 0;
  for (const auto& [kind, count] : votes) most = std::max(most, count);
  std::vector<std::string> best;
  for (const auto& [kind, count] : votes)
    if (count == most) best.push_back(kind);
  if (best.size() == 1) return best[0];
  std::set<std::string> named;
  for (const std::string& words : heading_words) {
    for (const Alias& alias : kHeadingKinds) {
      const bool said = words.find(alias.name) != std::string::npos;
      if (said && std::find(best.begin(), best.end(), alias.means) != best.end())
        named.emplace(alias.means);
    }
  }
  return named.size() == 1 ? *named.begin() : "";
}

std::string phase_of_kind(std::string_view kind) {
  const bool of_decode0 = kind == "attn_decode_verify" || kind == "mfma_vs_valu";
  return of_decode0 ? "decode0" : "";
}

}  // namespace greta::runner
