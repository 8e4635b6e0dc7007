#include "past/past_names.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <tuple>

#include "contract/schema.h"
#include "contract/text.h"

namespace greta::runner {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_word(char c) { return is_digit(c) || is_letter(c); }

std::string digits_at(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && is_digit(text[end])) ++end;
  return std::string(text.substr(at, end - at));
}

std::string plain_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return out;
}

size_t character_length(std::string_view text) {
  size_t length = 1;
  while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80)
    ++length;
  return length;
}

// Whether the first character may stand in the name of a field: letters, digits and marks of any
// script. Of the characters beyond ASCII these blocks are blanks, punctuation, arrows, operators
// and pictures.
bool is_of_name(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return is_word(text[0]);
  const size_t length = character_length(text);
  if (byte(0) < 0xc0 || length < 2 || length > 4) return false;
  uint32_t point = byte(0) & (0x7fU >> length);
  for (size_t i = 1; i < length; ++i) point = point << 6 | (byte(i) & 0x3fU);
  constexpr std::pair<uint32_t, uint32_t> kNoLetters[] = {
      {0x80, 0xa9},     {0xab, 0xb1},     {0xb4, 0xb4},      {0xb6, 0xb8},     {0xbb, 0xbf},
      {0xd7, 0xd7},     {0xf7, 0xf7},     {0x2000, 0x206f},  {0x207a, 0x207e}, {0x208a, 0x208e},
      {0x20a0, 0x20cf}, {0x2190, 0x2bff}, {0x3000, 0x3004},  {0x3008, 0x3020}, {0xfe00, 0xfe0f},
      {0xff01, 0xff0f}, {0xfff0, 0xffff}, {0x1f000, 0x1faff}};
  return std::none_of(std::begin(kNoLetters), std::end(kNoLetters), [&](const auto& block) {
    return point >= block.first && point <= block.second;
  });
}

// Names of GRETA's trace files, without milestone and prompt, and the kinds of their lines.
struct FileKind {
  std::string_view words, kind;
};
constexpr FileKind kFileKinds[] = {
    {"attn_verify", "attn_decode_verify"},
    {"attn_decode", "attn_decode_verify"},
    {"mfma_vs_valu", "mfma_vs_valu"},
    {"attn_mfma_vs_valu", "mfma_vs_valu"},
    {"prefill_decode", "readout"},
    {"readout", "readout"},
    {"prefill_decode_delta", "delta"},
    {"delta", "delta"},
    {"stage", "stage_trace"},
    {"landscape", "landscape"},
    {"attn_ref", "attn_precision_ref"},
    {"attn_softmax", "attn_softmax_trace"},
    {"attn_vacc", "attn_vacc_trace"},
    {"v_addr", "v_addr_trace"},
    {"l0_pipe", "attn_l0_pipe"},
    {"attn_l0_pipe", "attn_l0_pipe"},
    {"rmsnorm", "rmsnorm_trace"},
    {"post_wo", "post_wo_trace"},
    {"post_wo_logits", "post_wo_logits"},
    {"stage_logits", "stage_logits"},
    {"lmhead_w", "lmhead_w_verify"},
    {"wo_w", "wo_verify"},
    {"qkv_w", "qkv_w_verify"},
    {"embed", "embed_verify"},
};

// The settings of GRETA's two switches of the decode attention: an arm in the name of a file.
constexpr std::string_view kArmWords[] = {"manual", "fused", "valu", "mfma", "auto"};

// The prompts of the history.
constexpr std::string_view kPromptIds[] = {"p0_hi",     "p0_short", "p1_hi_space", "p2_hi_nl",
                                           "p3_q",      "p4_sys",   "p5_ba",       "p6_long",
                                           "p6_len_16", "p6_len_32"};

bool is_prompt_number(std::string_view word) {
  return word.size() >= 2 && word.size() <= 3 && word[0] == 'p' &&
         std::all_of(word.begin() + 1, word.end(), is_digit);
}

// The prompt whose id begins at words[at], and how many words it takes. p4 alone is the one prompt
// of the history that begins so, else itself.
std::pair<std::string, size_t> prompt_at(const std::vector<std::string>& words, size_t at) {
  std::string only;
  size_t begin_so = 0;
  for (const std::string_view id : kPromptIds) {
    const auto parts = name_words(id);
    if (parts[0] != words[at]) continue;
    only = id;
    ++begin_so;
    if (words.size() - at >= parts.size() &&
        std::equal(parts.begin(), parts.end(), words.begin() + static_cast<std::ptrdiff_t>(at)))
      return {std::string(id), parts.size()};
  }
  return {begin_so == 1 ? only : words[at], 1};
}

size_t shared_words(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const std::set<std::string> of_a(a.begin(), a.end());
  return static_cast<size_t>(
      std::count_if(b.begin(), b.end(), [&](const std::string& w) { return of_a.contains(w); }));
}

}  // namespace

std::string plain_name(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, char>, 12> kAccents = {{{"á", 'a'},
                                                                           {"é", 'e'},
                                                                           {"í", 'i'},
                                                                           {"ó", 'o'},
                                                                           {"ú", 'u'},
                                                                           {"ñ", 'n'},
                                                                           {"Á", 'a'},
                                                                           {"É", 'e'},
                                                                           {"Í", 'i'},
                                                                           {"Ó", 'o'},
                                                                           {"Ú", 'u'},
                                                                           {"Ñ", 'n'}}};
  std::string out;
  for (size_t i = 0; i < text.size();) {
    char c = text[i];
    size_t length = 1;
    for (const auto& [accented, plain] : kAccents) {
      if (!text.substr(i).starts_with(accented)) continue;
      c = plain;
      length = accented.size();
    }
    i += length;
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    if (is_word(c)) {
      out += c;
    } else if (is_of_name(text.substr(i - length))) {
      const size_t whole = character_length(text.substr(i - length));
      out += text.substr(i - length, whole);
      i += whole - length;
    } else if (!out.empty() && out.back() != '_') {
      out += '_';
    }
  }
  while (!out.empty() && out.back() == '_') out.pop_back();
  return out;
}

std::string field_name(std::string_view text) {
  std::string out;
  const size_t first = text.find_first_not_of(" \t\n");
  const std::string_view from_first = text.substr(std::min(first, text.size()));
  for (const std::string_view minus : {"-", "−"}) {
    const size_t behind = minus.size();
    if (from_first.starts_with(minus) && behind < from_first.size() &&
        is_of_name(from_first.substr(behind)))
      out = "neg_";
  }
  for (size_t i = 0; i < text.size();) {
    const size_t length = character_length(text.substr(i));
    if (is_of_name(text.substr(i))) {
      out += plain_case(text.substr(i, length));
    } else if (!out.empty() && out.back() != '_') {
      out += '_';
    }
    i += length;
  }
  while (!out.empty() && out.back() == '_') out.pop_back();
  return out;
}

bool is_plainly(std::string_view name, std::string_view text) {
  std::string joined_up;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool hyphen = text[i] == '-' && i > 0 && i + 1 < text.size() && is_word(text[i - 1]) &&
                        is_word(text[i + 1]);
    joined_up += text[i] == ' ' || hyphen ? '_' : text[i];
  }
  return plain_case(joined_up) == name;
}

std::pair<std::string, std::string> flag_in(std::string_view text) {
  while (!text.empty() && (text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  if (text.starts_with("export ")) text.remove_prefix(7);
  const size_t equals = text.find('=');
  if (!text.starts_with("GRETA_") || equals == std::string_view::npos) return {};
  const std::string_view name = text.substr(0, equals);
  if (name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != std::string_view::npos)
    return {};
  std::string value(text.substr(equals + 1));
  if (value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0])
    value = value.substr(1, value.size() - 2);
  return {std::string(name), value};
}

std::vector<std::string> name_words(std::string_view text) {
  std::vector<std::string> out;
  const std::string name = plain_name(text);
  for (size_t at = 0; at < name.size();) {
    const size_t end = std::min(name.find('_', at), name.size());
    out.push_back(name.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::string milestone_in(std::string_view text) {
  for (size_t i = 0; i + 3 < text.size(); ++i) {
    if ((text[i] != 'B' && text[i] != 'b') || (i > 0 && is_word(text[i - 1]))) continue;
    std::string out = "B";
    size_t at = i + 1;
    std::string number = digits_at(text, at);
    // B3.21, b3_21, B3_57_1: a later number is one of the milestone while it is short.
    for (int parts = 0; !number.empty() && number.size() <= 3 && parts < 3; ++parts) {
      out += (parts == 0 ? "" : ".") + number;
      at += number.size();
      if (at >= text.size() || (text[at] != '.' && text[at] != '_')) break;
      number = digits_at(text, at + 1);
      const size_t behind = at + 1 + number.size();
      if (number.empty() || (text[at] == '_' && behind < text.size() && is_letter(text[behind])))
        break;
      ++at;
    }
    if (out.find('.') != std::string::npos) return out;
  }
  return {};
}

std::string date_in(std::string_view text) {
  for (size_t i = 0; i + 10 <= text.size(); ++i) {
    if (i > 0 && is_digit(text[i - 1])) continue;
    constexpr std::string_view kForm = "dddd-dd-dd";
    const char separator = text[i + 4];
    bool fits = separator == '-' || separator == '_';
    for (size_t k = 0; k < kForm.size() && fits; ++k)
      fits = kForm[k] == 'd' ? is_digit(text[i + k]) : text[i + k] == separator;
    if (!fits || (i + 10 < text.size() && is_digit(text[i + 10]))) continue;
    const std::string month(text.substr(i + 5, 2)), day(text.substr(i + 8, 2));
    if (month < "01" || month > "12" || day < "01" || day > "31") continue;
    return std::string(text.substr(i, 4)) + "-" + month + "-" + day;
  }
  return {};
}

std::string prompt_in(std::string_view text) {
  for (size_t i = 0; i + 3 < text.size(); ++i) {
    if (text[i] != 'p' || (i > 0 && (is_word(text[i - 1]) || text[i - 1] == '_'))) continue;
    const size_t behind = i + 1 + digits_at(text, i + 1).size();
    if (behind == i + 1 || behind >= text.size() || text[behind] != '_') continue;
    size_t end = behind + 1;
    while (end < text.size() && (is_word(text[end]) || text[end] == '_')) ++end;
    if (end > behind + 1) return std::string(text.substr(i, end - i));
  }
  return {};
}

std::string arm_name(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool joins = c == '/' || c == '+';
    if (joins)
      while (out.ends_with(' ')) out.pop_back();
    if (c == ' ' && (out.empty() || out.back() == '_')) continue;
    out += joins ? '_' : c;
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

std::string arm_in(std::string_view text) {
  for (const std::string_view kernel : {"auto", "manual", "fused"}) {
    for (const std::string_view route : {"auto", "valu", "mfma"}) {
      for (const char joint : {'/', '+'}) {
        const std::string arm = std::string(kernel) + joint + std::string(route);
        if (text.find(arm) != std::string_view::npos) return arm_name(arm);
      }
    }
  }
  return {};
}

std::string commit_in(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    bool letter = false, digit = false, hex = true;
    while (end < text.size() && is_word(text[end])) {
      digit |= is_digit(text[end]);
      letter |= text[end] >= 'a' && text[end] <= 'f';
      hex &= is_digit(text[end]) || (text[end] >= 'a' && text[end] <= 'f');
      ++end;
    }
    if (hex && letter && digit && end - at >= 7 && end - at <= 40)
      return std::string(text.substr(at, end - at));
    at = end + 1;
  }
  return {};
}

namespace {

// By GRETA's own names of files, else the contract's kind that shares most words with it, where
// there is one such; else the name itself.
void find_kind(const std::vector<std::string>& words, FileNameParts& out) {
  out.kind = joined(words, "_");
  for (const FileKind& known : kFileKinds) {
    if (known.words != out.kind) continue;
    out.kind = known.kind;
    return;
  }
  if (builtin_schema().find(out.kind) != nullptr) return;
  // Nearest: most words in common, at least half of the name's and of the kind's; no tie.
  std::string best;
  size_t most = 0;
  for (const Kind& kind : builtin_schema().kinds) {
    const auto of_kind = name_words(kind.name);
    const size_t shared = shared_words(words, of_kind);
    if (2 * shared < words.size() || 2 * shared < of_kind.size() || shared < most) continue;
    best = shared > most ? kind.name : "";
    most = shared;
  }
  if (best.empty()) return;
  out.is_guess = true;
  out.kind = best;
}

}  // namespace

FileNameParts file_name_parts(std::string_view file_name) {
  FileNameParts out;
  const std::string in_lower_case = plain_case(file_name);
  for (const std::string_view extension : {".gz", ".jsonl", ".ndjson"}) {
    const std::string_view rest(in_lower_case.data(), file_name.size());
    if (rest.ends_with(extension)) file_name.remove_suffix(extension.size());
  }
  const std::vector<std::string> words = name_words(file_name);
  const auto is_number = [](const std::string& word) {
    return std::all_of(word.begin(), word.end(), is_digit);
  };
  // In front stand the numbers of a date and of a milestone, whose first word is b3.
  size_t at = 0;
  for (; at < words.size(); ++at) {
    const bool is_b3 =
        words[at][0] == 'b' && words[at].size() > 1 && is_number(words[at].substr(1));
    if (!is_b3 && !is_number(words[at])) break;
  }
  std::vector<std::string> rest, arm;
  while (at < words.size()) {
    size_t taken = 1;
    if (is_prompt_number(words[at]) && out.prompt.empty()) {
      std::tie(out.prompt, taken) = prompt_at(words, at);
    } else {
      rest.push_back(words[at]);
    }
    at += taken;
  }
  // fused_mfma_attn_verify names an arm; attn_mfma_vs_valu names a kind.
  if (std::find(rest.begin(), rest.end(), "vs") == rest.end()) {
    for (const std::string_view word : kArmWords) {
      const auto found = std::find(rest.begin(), rest.end(), word);
      if (found == rest.end()) continue;
      arm.emplace_back(word);
      rest.erase(found);
    }
  }
  out.variant = joined(arm, "_");
  find_kind(rest, out);
  return out;
}

bool has_number(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (!is_word(text[at])) {
      ++at;
      continue;
    }
    size_t end = at;
    bool only_number = is_digit(text[at]);
    while (end < text.size() && (is_word(text[end]) || text[end] == '_')) {
      const bool exponent = (text[end] == 'e' || text[end] == 'E') && end > at;
      only_number &= is_digit(text[end]) || exponent;
      ++end;
    }
    // A number of a version or a file name hangs on a word before it: B3.21, Q4_K.
    const bool hangs = at >= 2 && text[at - 1] == '.' && is_word(text[at - 2]);
    if (only_number && !hangs) return true;
    at = end;
  }
  return false;
}

}  // namespace greta::runner
