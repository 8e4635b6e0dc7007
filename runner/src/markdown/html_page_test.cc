#include "markdown/html_page.h"

#include <gtest/gtest.h>

namespace greta::runner {
namespace {

struct Case {
  const char* markdown;
  const char* has;
};

TEST(HtmlPage, WhatBecomesOfMarkdown) {
  const Case cases[] = {
      {"# A < B\n", "<title>A &lt; B</title>"},
      {"# A\n\n## Gates `x`\n", "<nav>\n<a href=\"#s1\">Gates x</a>\n</nav>"},
      {"## Gates\n", "<a id=\"s1\"></a>\n<h2>Gates</h2>"},
      {"| a | b |\n| --- | ---: |\n| 1\\|2 | 3 |\n", "<td>1|2</td>\n<td align=\"right\">3</td>"},
      {"<sub>`greta query \"SELECT 1 < 2\"`</sub>\n",
       "<details><summary>greta query</summary>\n<pre><code>greta query &quot;SELECT 1 &lt; "
       "2&quot;</code></pre>\n</details>"},
      {"~~~sh\ngreta query \"SELECT 1\n\"\n~~~\n", "<summary>greta query</summary>"},
      {"<sub>`greta diff a b`</sub>\n", "<summary>greta diff</summary>"},
      {"<sub>`rm -r x`</sub>\n", "<p><small><code>rm -r x</code></small></p>"},
      {"~~~sh\nrm -r x\n~~~\n", "<pre><code class=\"language-sh\">rm -r x\n</code></pre>"},
      {"- one  \n  <sub>`greta query \"x\"`</sub>\n",
       "one<br />\n<small><code>greta query &quot;x&quot;</code></small>"},
      {"a <b>bold</b> word\n", "<p>a &lt;b&gt;bold&lt;/b&gt; word</p>"},
      {"<script>alert(1)</script>\n", "<p>&lt;script&gt;alert(1)&lt;/script&gt;"},
      {"[x](javascript:alert(1))\n", "<a href=\"\">x</a>"},
      {"\xff\n", "\xef\xbf\xbd"},
  };
  for (const Case& one : cases) {
    const std::string page = html_page(one.markdown, "en");
    EXPECT_NE(page.find(one.has), std::string::npos) << one.markdown << "\n" << page;
    EXPECT_EQ(page.find("raw HTML omitted"), std::string::npos) << one.markdown;
  }
}

TEST(HtmlPage, IsAWholePage) {
  const std::string page = html_page("", "es");
  EXPECT_TRUE(page.starts_with("<!doctype html>\n<html lang=\"es\">")) << page;
  EXPECT_TRUE(page.ends_with("</body>\n</html>\n")) << page;
  EXPECT_EQ(page.find("<nav>"), std::string::npos) << page;
}

}  // namespace
}  // namespace greta::runner
