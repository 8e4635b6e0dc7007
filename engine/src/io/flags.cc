#include "io/flags.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cctype>
#include <charconv>

#include "contract/text.h"

namespace greta::engine {
namespace {

constexpr FlagInfo kFlags[] = {
#define FLAG(name, type, choices, default_value, doc) \
  {#name, FlagType::type, choices, default_value, doc},
#include "io/flags.def"
#undef FLAG
};

// Variables of the project's other programs, which a user may have exported for all of them.
constexpr std::array<std::string_view, 1> kForeign = {"GRETA_STORE"};

// The traces whose file can be renamed: the flag that names the file, the one that turns the trace
// on, the event of its records.
struct OutputFlag {
  std::string_view file_flag, trace_flag, event;
};
constexpr OutputFlag kOutputFlags[] = {
    {"GRETA_TRACE_READOUT_OUT", "GRETA_TRACE_READOUT", "readout"},
    {"GRETA_TRACE_LANDSCAPE_OUT", "GRETA_TRACE_LANDSCAPE", "landscape"},
    {"GRETA_TRACE_STAGE_OUT", "GRETA_TRACE_STAGE", "stage_trace"},
    {"GRETA_TRACE_LAYER_DELTA_OUT", "GRETA_TRACE_LAYER_DELTA", "layer_delta"},
    {"GRETA_TRACE_ATTN_DECODE_OUT", "GRETA_TRACE_ATTN_DECODE_VERIFY", "attn_decode_verify"},
    {"GRETA_ATTN_DECODE_MFMA_SHADOW_OUT", "GRETA_ATTN_DECODE_MFMA_SHADOW", "mfma_vs_valu"},
    {"GRETA_TRACE_ATTN_SOFTMAX_OUT", "GRETA_TRACE_ATTN_SOFTMAX", "attn_softmax_trace"},
    {"GRETA_TRACE_ATTN_VACC_OUT", "GRETA_TRACE_ATTN_VACC", "attn_vacc_trace"},
    {"GRETA_TRACE_ATTN_REF_OUT", "GRETA_TRACE_ATTN_REF", "attn_precision_ref"},
    {"GRETA_TRACE_V_ADDR_OUT", "GRETA_TRACE_V_ADDR", "v_addr_trace"},
    {"GRETA_TRACE_QKV_W_OUT", "GRETA_TRACE_QKV_W_VERIFY", "qkv_w_verify"},
    {"GRETA_TRACE_WO_W_OUT", "GRETA_TRACE_WO_W_VERIFY", "wo_verify"},
    {"GRETA_TRACE_LMHEAD_W_OUT", "GRETA_TRACE_LMHEAD_W_VERIFY", "lmhead_w_verify"},
    {"GRETA_TRACE_EMBED_OUT", "GRETA_TRACE_EMBED_VERIFY", "embed_verify"},
    {"GRETA_TRACE_LMHEAD_CPU_PROBE_OUT", "GRETA_TRACE_LMHEAD_CPU_PROBE", "lmhead_cpu_probe"},
    {"GRETA_TRACE_POST_WO_OUT", "GRETA_TRACE_POST_WO", "post_wo_trace"},
    {"GRETA_TRACE_RMSNORM_OUT", "GRETA_TRACE_RMSNORM", "rmsnorm_trace"},
    {"GRETA_TRACE_PREFILL_DECODE_OUT", "GRETA_TRACE_PREFILL_DECODE", "prefill_decode_consistency"},
    {"GRETA_TRACE_PREFILL_DECODE_DELTA_OUT", "GRETA_TRACE_PREFILL_DECODE_DELTA",
     "prefill_decode_delta"},
    {"GRETA_TRACE_HIDDEN_EQUIV_OUT", "GRETA_TRACE_HIDDEN_EQUIV", "hidden_equiv"},
};

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// The whole text as a number that is not negative, or −1.
int64_t number(std::string_view text) {
  int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size() && value >= 0 ? value : -1;
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}
bool truthy(std::string_view text) {
  return is_one_of(lower(text), {"1", "true", "yes", "on", "y"});
}
bool falsy(std::string_view text) {
  return is_one_of(lower(text), {"0", "false", "no", "off", "n"});
}

// "4-7" as first and last; "4" as both; "last" as −1, −1. Nothing if it is none of these.
bool read_range(std::string_view item, int64_t* first, int64_t* last) {
  if (item == "last") {
    *first = *last = -1;
    return true;
  }
  const size_t dash = item.find('-');
  *first = number(item.substr(0, dash));
  *last = dash == std::string_view::npos ? *first : number(item.substr(dash + 1));
  return *first >= 0 && *last >= *first;
}
bool is_range(std::string_view item) {
  int64_t first = 0, last = 0;
  return read_range(item, &first, &last);
}

bool is_phase(std::string_view item) {
  if (item == "prefill_last" || item == "decode") return true;
  return item.starts_with("decode") && number(item.substr(6)) >= 0;
}

tl::unexpected<Error> bad_value(const FlagInfo& flag, std::string_view value,
                                const std::string& want) {
  return fail(EngineExit::usage,
              std::string(flag.name) + "=" + printable(value) + ": expected " + want);
}

// Items of a comma-separated value, each of which `is_good` must accept.
template <class Good>
Result<> check_items(const FlagInfo& flag, std::string_view value, const std::string& want,
                     const std::vector<std::string>& near, Good is_good) {
  if (value == "all") return {};
  for (const auto& item : split(value, ',')) {
    if (!is_good(item)) {
      return bad_value(flag, value,
                       want + "; `" + printable(item) + "` is neither" + did_you_mean(item, near));
    }
  }
  return {};
}

Result<> check_value(const FlagInfo& flag, std::string_view value) {
  switch (flag.type) {
    case FlagType::boolean:
      if (truthy(value) || falsy(value)) return {};
      return bad_value(flag, value, "0 or 1 (also true, false, yes, no, on, off)");
    case FlagType::integer: {
      const size_t dots = flag.choices.find("..");
      const int64_t got = number(value);
      if (got >= number(flag.choices.substr(0, dots)) &&
          got <= number(flag.choices.substr(dots + 2))) {
        return {};
      }
      return bad_value(flag, value,
                       "a whole number from " + std::string(flag.choices.substr(0, dots)) + " to " +
                           std::string(flag.choices.substr(dots + 2)));
    }
    case FlagType::choice: {
      const auto choices = split(flag.choices, '|');
      if (std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
      return bad_value(flag, value, "one of " + joined(choices) + did_you_mean(value, choices));
    }
    case FlagType::list: {
      auto choices = split(flag.choices, '|');
      const std::string want = "all, or a list of " + joined(choices);
      return check_items(flag, value, want, choices, [&](const std::string& item) {
        return std::find(choices.begin(), choices.end(), item) != choices.end();
      });
    }
    case FlagType::layers:
      return check_items(flag, value, "all, or a list of layer numbers, ranges like 4-7 and last",
                         {"all", "last"}, is_range);
    case FlagType::heads:
      if (value.empty()) return {};
      return check_items(flag, value, "all, or a list of head numbers, ranges like 4-7 and last",
                         {"all", "last"}, is_range);
    case FlagType::positions:
      return check_items(flag, value, "all, or a list of positions, ranges like 4-7 and last",
                         {"all", "last"}, is_range);
    case FlagType::phases:
      return check_items(flag, value, "all, or a list of prefill_last, decode, decode0, decode1 …",
                         {"prefill_last", "decode", "decode0", "all"}, is_phase);
    case FlagType::file:
      if (value.empty()) return {};
      if (value.find('/') != std::string_view::npos) {
        return bad_value(flag, value, "the bare name of a file: outputs live in the folder --out");
      }
      if (value.size() > 6 && value.ends_with(".jsonl")) return {};
      return bad_value(flag, value,
                       "a name that ends in .jsonl, for records are looked for in such files");
    case FlagType::text:
      return {};
  }
  return {};
}

}  // namespace

std::string_view to_string(FlagType type) {
  static constexpr std::string_view kNames[] = {"boolean", "integer", "choice", "text",
                                                "list",    "layers",  "heads",  "positions",
                                                "phases",  "file"};
  return kNames[static_cast<size_t>(type)];
}

std::span<const FlagInfo> flag_table() { return kFlags; }

Result<Flags> Flags::parse(std::span<const std::string> environment) {
  Flags flags;
  for (const auto& flag : kFlags) flags.values_.push_back({std::string(flag.default_value)});
  for (const auto& entry : environment) {
    const size_t equals = entry.find('=');
    const std::string name = entry.substr(0, equals);
    if (!name.starts_with("GRETA_")) continue;
    if (std::find(kForeign.begin(), kForeign.end(), name) != kForeign.end()) continue;
    const auto* const flag = std::find_if(std::begin(kFlags), std::end(kFlags),
                                          [&](const FlagInfo& info) { return info.name == name; });
    if (flag == std::end(kFlags)) {
      std::vector<std::string> names;
      for (const auto& info : kFlags) names.emplace_back(info.name);
      return fail(EngineExit::usage, "unknown flag " + printable(name) + did_you_mean(name, names) +
                                         "; unset it, and `greta-infer describe` lists the flags");
    }
    const std::string value = equals == std::string::npos ? "" : entry.substr(equals + 1);
    TRY(check_value(*flag, value));
    flags.values_[static_cast<size_t>(flag - kFlags)] = {value, true};
  }
  return flags;
}

Result<Flags> Flags::from_process() {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) entries.emplace_back(*entry);
  return parse(entries);
}

const Flags::Value& Flags::at(std::string_view name) const {
  for (size_t i = 0; i < std::size(kFlags); ++i) {
    if (kFlags[i].name == name) return values_[i];
  }
  assert(false && "a flag that is not in flags.def");
  std::abort();
}

const Flags::Value& Flags::at(std::string_view name, [[maybe_unused]] FlagType type) const {
  const Value& value = at(name);
  assert(kFlags[&value - values_.data()].type == type && "a flag read as another type");
  value.read = true;
  return value;
}

bool Flags::boolean(std::string_view name) const {
  return truthy(at(name, FlagType::boolean).text);
}

int64_t Flags::integer(std::string_view name) const {
  return number(at(name, FlagType::integer).text);
}

const std::string& Flags::text(std::string_view name) const {
  const Value& value = at(name);
  value.read = true;
  return value.text;
}

bool phase_selected(std::string_view value, std::string_view phase) {
  if (value == "all") return true;
  for (const auto& chosen : split(value, ',')) {
    if (chosen == phase) return true;
    if (chosen == "decode" && is_phase(phase) && phase.starts_with("decode")) return true;
  }
  return false;
}

bool Flags::selects(std::string_view name, std::string_view item) const {
  return phase_selected(text(name), item);
}

bool NumberSet::contains(int64_t number, int64_t count) const {
  if (all_) return true;
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const Range& range) {
    if (range.first < 0) return number == count - 1;
    return number >= range.first && number <= range.last;
  });
}

NumberSet Flags::numbers(std::string_view name) const {
  const std::string& value = text(name);
  if (value == "all") return NumberSet::all();
  NumberSet set;
  if (value.empty()) return set;
  for (const auto& item : split(value, ',')) {
    NumberSet::Range range{};
    read_range(item, &range.first, &range.last);
    set.ranges_.push_back(range);
  }
  return set;
}

bool Flags::has(std::string_view name) const {
  return std::any_of(std::begin(kFlags), std::end(kFlags),
                     [&](const FlagInfo& info) { return info.name == name; });
}

Result<> Flags::fits(int64_t layers, int64_t heads) const {
  for (size_t i = 0; i < std::size(kFlags); ++i) {
    const bool of_layers = kFlags[i].type == FlagType::layers;
    if (!of_layers && kFlags[i].type != FlagType::heads) continue;
    const int64_t count = of_layers ? layers : heads;
    if (values_[i].text == "all" || values_[i].text.empty()) continue;
    for (const auto& item : split(values_[i].text, ',')) {
      int64_t first = 0, last = 0;
      read_range(item, &first, &last);
      if (last >= count) {
        return bad_value(kFlags[i], values_[i].text,
                         std::string(of_layers ? "layers" : "heads") +
                             " of the model, which are 0 to " + std::to_string(count - 1));
      }
    }
  }
  return {};
}

Result<> Flags::apply_output_names(Output& output) const {
  for (const auto& [file_flag, trace_flag, event] : kOutputFlags) {
    if (!boolean(trace_flag)) continue;
    const std::string& file = text(file_flag);
    if (!file.empty()) TRY(output.rename(event, file));
  }
  return {};
}

std::vector<Flags::Effective> Flags::effective() const {
  std::vector<Effective> out;
  for (size_t i = 0; i < std::size(kFlags); ++i) {
    out.push_back({std::string(kFlags[i].name), values_[i].text,
                   values_[i].from_environment ? "env" : "default", values_[i].read});
  }
  return out;
}

const std::shared_ptr<Flags::Looks>& Flags::looks(std::string_view name) const {
  return at(name).looks;
}

std::vector<std::string> Flags::without_effect() const {
  std::vector<std::string> out;
  std::vector<std::string> unread;
  for (size_t i = 0; i < std::size(kFlags); ++i) {
    const Value& value = values_[i];
    if (!value.from_environment) continue;
    const std::string name(kFlags[i].name);
    if (!value.read) unread.push_back(name);
    if (!value.read || value.looks->matched) continue;
    // A trace asks for phases first: positions that it never asked for are not at fault.
    if (kFlags[i].type == FlagType::phases) {
      out.push_back(name + "=" + printable(value.text) + " matched no pass of this run");
    } else if (kFlags[i].type == FlagType::positions && value.looks->asked) {
      out.push_back(name + "=" + printable(value.text) + " matched no position of this run");
    }
  }
  if (!unread.empty()) out.push_back("set, but nothing in this run read it: " + joined(unread));
  return out;
}

}  // namespace greta::engine
