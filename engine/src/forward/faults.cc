#include "forward/faults.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "contract/text.h"

namespace greta::engine {
namespace {

constexpr std::string_view kVariable = "GRETA_INJECT";

// In the order of enum Fault.
constexpr std::array kTable = {
    FaultInfo{Fault::kv_layer_base, "kv_layer_base", "layer,head,step",
              "attention of this layer reads layer 0's slice of the KV cache", true, true},
    FaultInfo{Fault::kv_write_hq_stride, "kv_write_hq_stride", "layer,step",
              "the KV update steps from head to head with the query heads' stride", true, true},
    FaultInfo{Fault::gqa_map, "gqa_map", "layer,head,step",
              "query head h reads KV head h % kv_heads instead of h / group", true, true},
    FaultInfo{Fault::seq_len_off_by_one, "seq_len_off_by_one", "layer,head,step",
              "decode attention misses the newest key", true, true},
    FaultInfo{Fault::rope_k_off_by_one, "rope_k_off_by_one", "layer,step",
              "k is rotated for the position after its own", true, true},
    FaultInfo{Fault::rope_qk_off_by_one, "rope_qk_off_by_one", "layer,step",
              "q and k are rotated for the position after their own", true, true},
    FaultInfo{Fault::rope_half_split, "rope_half_split", "layer,step",
              "RoPE turns the pairs (i, i + d/2) instead of (2i, 2i + 1)", true, true},
    FaultInfo{Fault::softmax_scale, "softmax_scale", "layer,head,step",
              "scores are scaled by 1/head_dim instead of 1/sqrt(head_dim)", true, true},
    FaultInfo{Fault::v_not_written, "v_not_written", "layer,step",
              "the KV update leaves V's slot as it was", true, true},
    FaultInfo{Fault::stale_slot, "stale_slot", "layer,step",
              "the KV update leaves K's and V's slot as they were", true, true},
    FaultInfo{Fault::kv_ignored, "kv_ignored", "layer,head,step",
              "attention sees its own position only"},
    FaultInfo{Fault::bf16_accumulate, "bf16_accumulate", "layer,head,step",
              "attention accumulates in bf16", true, true},
    FaultInfo{Fault::readout_wrong_row, "readout_wrong_row", "",
              "the prefill readout takes row 0 instead of the last one"},
    FaultInfo{Fault::arms_same_kernel, "arms_same_kernel", "",
              "GRETA_FORCE_ATTN_DECODE_KERNEL=manual silently runs the fused kernels", true, true},
    FaultInfo{Fault::misaligned_load, "misaligned_load", "layer,step",
              "attention gets q at an address 4 bytes off its alignment", true, true},
    FaultInfo{Fault::wq_column_major, "wq_column_major", "layer",
              "Wq is read as if its columns lay one after another"},
    FaultInfo{Fault::wk_column_major, "wk_column_major", "layer",
              "Wk is read as if its columns lay one after another"},
    FaultInfo{Fault::wv_column_major, "wv_column_major", "layer",
              "Wv is read as if its columns lay one after another"},
    FaultInfo{Fault::wo_column_major, "wo_column_major", "layer",
              "Wo is read as if its columns lay one after another"},
    FaultInfo{Fault::embedding_column_major, "embedding_column_major", "",
              "the embedding is read as if its columns lay one after another"},
    FaultInfo{Fault::lm_head_tile_transposed, "lm_head_tile_transposed", "",
              "16 x 16 tiles of the logits are written back transposed: one of 16 stays"},
    FaultInfo{
        Fault::no_max_subtract, "no_max_subtract", "layer,step",
        "softmax does not bring the largest score to 0: seen where a score is above 88 (devices)",
        false, true},
    FaultInfo{
        Fault::no_split_rescale, "no_split_rescale", "layer,step",
        "splits of 128 keys are added up without bringing them to one maximum (devices, fused)",
        false, true},
    FaultInfo{
        Fault::mfma_tile_transposed, "mfma_tile_transposed", "layer,step",
        "result tiles of the matrix unit are stored with rows and columns exchanged (devices)",
        false, true},
    FaultInfo{Fault::fp16_accumulate, "fp16_accumulate", "layer,step",
              "attention accumulates in fp16 (devices)", false, true},
};

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0;;) {
    const size_t end = text.find(separator, begin);
    parts.push_back(trim(text.substr(begin, end - begin)));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

std::vector<std::string> names_of_keys(std::string_view keys) {
  std::vector<std::string> names;
  if (keys.empty()) return names;
  for (const auto key : split(keys, ',')) names.emplace_back(key);
  return names;
}

tl::unexpected<Error> usage(std::string message) {
  return fail(EngineExit::usage, std::string(kVariable) + ": " + std::move(message));
}

std::string quoted(std::string_view text) { return "`" + printable(text) + "`"; }

Result<const FaultInfo*> find(std::string_view name) {
  for (const auto& info : kTable) {
    if (info.name == name) return &info;
  }
  std::vector<std::string> names;
  for (const auto& info : kTable) names.emplace_back(info.name);
  return usage("unknown fault " + quoted(name) + did_you_mean(name, names));
}

}  // namespace

std::span<const FaultInfo> fault_table() { return kTable; }

Result<Faults> Faults::parse(std::string_view text) {
  Faults faults;
  if (trim(text).empty()) return faults;
  for (const auto item : split(text, ';')) {
    if (item.empty()) return usage("empty entry in " + quoted(text));
    const size_t colon = item.find(':');
    TRY_ASSIGN(const FaultInfo* info, find(trim(item.substr(0, colon))));
    Placed placed{.fault = info->fault};
    if (colon != std::string_view::npos) {
      const auto allowed = names_of_keys(info->keys);
      for (const auto pair : split(item.substr(colon + 1), ',')) {
        const size_t equals = pair.find('=');
        const auto key = trim(pair.substr(0, equals));
        if (std::ranges::find(allowed, key) == allowed.end()) {
          return usage("fault `" + std::string(info->name) + "` takes " +
                       (allowed.empty() ? "no keys" : "the keys " + std::string(info->keys)) +
                       ", not " + quoted(key) + did_you_mean(key, allowed));
        }
        const auto value =
            equals == std::string_view::npos ? std::string_view{} : trim(pair.substr(equals + 1));
        int64_t& target = key == "layer" ? placed.layer : key == "head" ? placed.head : placed.step;
        if (target != -1) return usage("key " + quoted(key) + " twice in " + quoted(item));
        const auto [end, error] =
            std::from_chars(value.data(), value.data() + value.size(), target);
        if (error != std::errc{} || end != value.data() + value.size() || target < 0) {
          return usage(std::string(key) + " must be a number from 0, not " + quoted(value) +
                       " in " + quoted(item));
        }
      }
    }
    faults.placed_.push_back(placed);
  }
  return faults;
}

Result<> Faults::fits(int64_t layers, int64_t heads) const {
  const auto check = [](std::string_view what, int64_t at, int64_t count) -> Result<> {
    if (at < count) return {};
    return usage(std::string(what) + " " + std::to_string(at) +
                 " is outside the model, which has " + std::to_string(count) + " (0 to " +
                 std::to_string(count - 1) + ")");
  };
  for (const auto& placed : placed_) {
    TRY(check("layer", placed.layer, layers));
    TRY(check("head", placed.head, heads));
  }
  return {};
}

bool Faults::narrowed_to_head(Fault fault) const {
  return std::ranges::any_of(
      placed_, [&](const Placed& placed) { return placed.fault == fault && placed.head != -1; });
}

Result<> Faults::check_on_cpu() const {
  for (const FaultInfo& info : kTable) {
    if (info.on_cpu || !at(info.fault)) continue;
    return usage("fault `" + std::string(info.name) +
                 "` is one of a device's kernels; use --backend cpu+emu or emu");
  }
  return {};
}

bool Faults::at(Fault fault, int64_t layer, int64_t head, int64_t step) const {
  const auto matches = [](int64_t placed, int64_t here) {
    return placed == -1 || here == -1 || placed == here;
  };
  return std::ranges::any_of(placed_, [&](const Placed& placed) {
    return placed.fault == fault && matches(placed.layer, layer) && matches(placed.head, head) &&
           matches(placed.step, step);
  });
}

}  // namespace greta::engine
