#include "past/written_date.h"

#include <algorithm>
#include <array>
#include <vector>

#include "past/past_names.h"
#include "past/report_number.h"

namespace greta::runner {
namespace {

// 1 to 12, by the name or its first three letters; 0 for another word.
int month_of(std::string_view word) {
  constexpr std::array<std::string_view, 12> kEnglish = {
      "january", "february", "march",     "april",   "may",      "june",
      "july",    "august",   "september", "october", "november", "december"};
  constexpr std::array<std::string_view, 12> kSpanish = {
      "enero", "febrero", "marzo",      "abril",   "mayo",      "junio",
      "julio", "agosto",  "septiembre", "octubre", "noviembre", "diciembre"};
  for (const auto& names : {kEnglish, kSpanish}) {
    for (size_t i = 0; i < names.size(); ++i)
      if (word == names[i] || word == names[i].substr(0, 3)) return static_cast<int>(i) + 1;
  }
  return 0;
}

int days_of(int month, int year) {
  constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return kDays[static_cast<size_t>(month) - 1] + (month == 2 && leap ? 1 : 0);
}

// Without the ending of "2nd"; 0 when it is no day.
int day_of(std::string word) {
  for (const std::string_view ending : {"st", "nd", "rd", "th"})
    if (word.size() > 2 && word.ends_with(ending)) word.erase(word.size() - 2);
  return all_digits(word) && word.size() <= 2 ? std::stoi(word) : 0;
}

}  // namespace

std::string written_date_in(std::string_view text) {
  std::vector<std::string> words = name_words(text);
  for (const std::string_view small : {"de", "del", "of"})
    words.erase(std::remove(words.begin(), words.end(), small), words.end());
  for (size_t i = 0; i + 3 <= words.size(); ++i) {
    const bool month_first = month_of(words[i]) > 0;
    const int month = month_of(words[month_first ? i : i + 1]);
    const int day = day_of(words[month_first ? i + 1 : i]);
    const std::string& year = words[i + 2];
    if (month == 0 || year.size() != 4 || !all_digits(year)) continue;
    if (day < 1 || day > days_of(month, std::stoi(year))) continue;
    const auto two = [](int number) { return (number < 10 ? "0" : "") + std::to_string(number); };
    return year + "-" + two(month) + "-" + two(day);
  }
  return {};
}

}  // namespace greta::runner
