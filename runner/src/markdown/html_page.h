#pragma once
// A Markdown text (GitHub's kind: with tables) as one page of HTML that needs nothing else: no
// script, no file beside it, no network.

#include <string>
#include <string_view>

namespace greta::runner {

// `language`: of the page, as in <html lang>. The title is the first heading; headings of the
// second level are listed in front. Queries that stand below what they gave are folded. HTML inside
// the text is shown as text. Any bytes are a Markdown text.
std::string html_page(std::string_view markdown, std::string_view language);

}  // namespace greta::runner
