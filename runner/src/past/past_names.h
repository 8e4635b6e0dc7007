#pragma once
// What the words of past reports and file names mean: milestones, prompts, dates, record kinds.
// runner/IMPORT.md states the rules. Private to `past`.

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace greta::runner {

// Lower case, accents of Spanish away, `_` for what is neither letter nor digit: "Gap (prefill)" is
// "gap_prefill".
std::string plain_name(std::string_view text);
// The name of the field that the head of a column, or the label of a row, stands for: ASCII letters
// in lower case, `_` for blanks and signs; letters of other scripts stay as they are ("Δ gap" is
// "Δ_gap"), and a minus before the first letter is a word ("-log p" is "neg_log_p").
std::string field_name(std::string_view text);
// Whether a field's name is no more than this text with its blanks joined, so that nobody need be
// told.
bool is_plainly(std::string_view name, std::string_view text);
// The parts of a plain name.
std::vector<std::string> name_words(std::string_view text);

// The first milestone that a text names ("B3.21 — …", "b3_21_attn_verify.jsonl",
// "2026_02_03_B3_57_1_x.md") as it is written in the history: B3.21, B3.57.1. "" without one.
std::string milestone_in(std::string_view text);
// The first date, 2026-02-03 or 2026_02_03; "" without one.
std::string date_in(std::string_view text);
// The first prompt id of the form p4_sys; in a name of a file also p4, which is p4_sys in the
// history where only one prompt there begins so. "" without one.
std::string prompt_in(std::string_view text);
// An arm as the history names it: "fused / mfma" is fused_mfma.
std::string arm_name(std::string_view text);
// The arm of the decode attention that a text names (auto/auto, fused+mfma); "" without one.
std::string arm_in(std::string_view text);
// The first 7 to 40 hexadecimal digits that stand alone and hold a letter and a digit.
std::string commit_in(std::string_view text);

// "GRETA_X=1", also after `export`, without the quotes around its value; "" for anything else.
std::pair<std::string, std::string> flag_in(std::string_view text);

// What the name of a file of lines says of them.
struct FileNameParts {
  std::string prompt;     // "" when it does not say
  std::string variant;    // manual_valu; "" when it does not say
  std::string kind;       // the record kind of lines without `event`
  bool is_guess = false;  // the kind shares words with the name, no more
};
FileNameParts file_name_parts(std::string_view file_name);

// Whether a text has a number in it that stands alone (not that of B3.21, decode0 or MI300X).
bool has_number(std::string_view text);

// Whether a list of words has this one.
template <size_t N>
bool contains(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

}  // namespace greta::runner
