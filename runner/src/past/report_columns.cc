#include "past/report_columns.h"

#include <algorithm>
#include <map>
#include <set>

#include "contract/schema.h"
#include "past/past_names.h"

namespace greta::runner {
namespace {

struct Alias {
  std::string_view name, means;
};

// Heads of key columns, in both languages.
constexpr Alias kKeyHeads[] = {
    {"layer", "layer"},
    {"capa", "layer"},
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

template <size_t N>
bool contains(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool all_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string unit_of(std::string_view text) {
  constexpr Alias kUnits[] = {
      {"s", "s"},         {"ms", "ms"},       {"us", "us"},          {"µs", "us"},
      {"min", "min"},     {"h", "h"},         {"%", "percent"},      {"x", "x"},
      {"×", "x"},         {"GB", "GB"},       {"GiB", "GiB"},        {"MB", "MB"},
      {"MiB", "MiB"},     {"KB", "KB"},       {"KiB", "KiB"},        {"B", "bytes"},
      {"bytes", "bytes"}, {"tok/s", "tok/s"}, {"tokens/s", "tok/s"}, {"GB/s", "GB/s"}};
  return std::string(meaning(kUnits, text));
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
    phase = *decode == "decode" ? "decode0" : *decode;
    words.erase(decode);
  }
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : "_") + word;
  return out;
}

// Fields that tell a kind: what many kinds have, or what any table may have, does not.
bool tells(const Field& field) {
  if (field.role == FieldRole::key || field.role == FieldRole::context) return false;
  return field.name.find('_') != std::string::npos || field.name == "gap" ||
         field.name == "entropy";
}

void trim(std::string& text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\n'; };
  while (!text.empty() && is_space(text.back())) text.pop_back();
  while (!text.empty() && is_space(text.front())) text.erase(0, 1);
}

bool take_front(std::string& text, std::string_view front) {
  if (!text.starts_with(front)) return false;
  text.erase(0, front.size());
  trim(text);
  return true;
}

// The number that a text is, with what it is as JSON; null when it is none.
Json number_of(const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789+-.eE") != std::string::npos)
    return nullptr;
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return value.is_number() ? value : Json(nullptr);
}

}  // namespace

ReportColumn report_column(std::string_view head, const std::vector<std::string>& prompts) {
  ReportColumn out;
  std::string text(head);
  trim(text);
  if (const size_t open = text.rfind('('); open != std::string::npos && text.ends_with(')')) {
    out.unit = unit_of(text.substr(open + 1, text.size() - open - 2));
    if (!out.unit.empty()) text.erase(open);
  }
  const std::string name = plain_name(text);
  if (const auto key = meaning(kKeyHeads, name); !key.empty()) {
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
    if (!rest.empty()) out = report_column(rest, {});  // "p4_sys decode0_top1"
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
  const auto short_name = meaning(kFieldHeads, field);
  if (!short_name.empty()) field = short_name;
  const Kind* const readout = builtin_schema().find("readout");
  if (!phase.empty() && readout != nullptr && readout->find(field) != nullptr) {
    out.keys["phase"] = phase;
    out.kind = "readout";
  } else if (short_name.empty()) {
    field = name;  // prefill_time is a name of its own
  }
  if (contains(kValueHeads, name)) out.use = ReportColumn::Use::values;
  if (contains(kLabelHeads, name)) out.use = ReportColumn::Use::label;
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
      if (column.name.empty()) column.name = "row";
    } else {
      labelled = true;
    }
  }
  for (ReportColumn& column : out) {
    if (labelled || column.use != ReportColumn::Use::values) continue;
    column.use = ReportColumn::Use::field;
    if (column.name.empty()) column.name = "value";
  }
  return out;
}

ReportCell report_cell(std::string_view cell) {
  ReportCell out;
  std::string text(cell);
  trim(text);
  const std::string name = plain_name(text);
  if (text.empty() || text == "-" || text == "—" || text == "–" || name == "n_a" || name == "null")
    return out;
  if (name == "true" || name == "false") {
    out.value = name == "true";
    return out;
  }
  for (const auto& [token, value] :
       {std::pair{"nan", "NaN"}, std::pair{"inf", "Infinity"}, std::pair{"infinity", "Infinity"}}) {
    if (name == token) {
      out.value = text.starts_with('-') ? "-" + std::string(value) : std::string(value);
      return out;
    }
  }
  std::string rest = text;
  for (const auto& [sign, bound] :
       {std::pair{"≥", "at_least"}, std::pair{">=", "at_least"}, std::pair{"≤", "at_most"},
        std::pair{"<=", "at_most"}, std::pair{">", "more_than"}, std::pair{"<", "less_than"}}) {
    if (!take_front(rest, sign)) continue;
    out.bound = bound;
    break;
  }
  out.approx = take_front(rest, "~") || take_front(rest, "≈");
  take_front(rest, "+");
  const size_t end = std::min(rest.find_first_not_of("0123456789+-.eE"), rest.size());
  std::string behind = rest.substr(end);
  trim(behind);
  out.unit = unit_of(behind);
  const Json number = behind.empty() || !out.unit.empty() ? number_of(rest.substr(0, end)) : Json();
  if (number.is_null()) return {.value = text, .printed = {}, .unit = {}, .bound = {}};
  out.value = number;
  out.printed = rest.substr(0, end);
  return out;
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
