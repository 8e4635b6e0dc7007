#pragma once
// Dates in words. Private to `past`.

#include <string>
#include <string_view>

namespace greta::runner {

// The first date with its month in words, as 2026-05-02: "2 de mayo de 2026", "2 May 2026",
// "May 2, 2026". "" without one; 03/02/2026 has two readings and is none.
std::string written_date_in(std::string_view text);

}  // namespace greta::runner
