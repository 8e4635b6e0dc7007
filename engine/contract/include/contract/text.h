#pragma once
// Small text helpers that both command lines need for their messages.

#include <string>
#include <string_view>
#include <vector>

namespace greta {

// The candidate with the smallest edit distance (case-insensitive, swaps count one), or "" when
// none is near enough to be a likely slip: more than a third of the letters differ.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// " (did you mean `x`?)" or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

// The parts in one text, with the separator between two of them.
std::string joined(const std::vector<std::string>& parts, std::string_view separator = ", ");

// Printable form of untrusted text for an error message: control bytes escaped, cut at `max` bytes.
std::string printable(std::string_view text, size_t max = 80);

}  // namespace greta
