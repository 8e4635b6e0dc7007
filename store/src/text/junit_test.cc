#include "text/junit.h"

#include <gtest/gtest.h>

namespace greta::store {
namespace {

TEST(Junit, SaysWhatPassedAndWhatDidNot) {
  const JunitSuite suite{.name = "greta run B3.21-1",
                         .timestamp = "2026-02-03T10:00:00.000Z",
                         .seconds = 1.25,
                         .properties = {{"commit", "c0ffee"}},
                         .cases = {{.group = "gates", .name = "kv_ok"},
                                   {.outcome = JunitCase::Outcome::failed,
                                    .group = "gates",
                                    .name = "attn_vs_ref",
                                    .type = "fail",
                                    .message = "max 0.04 > 1e-5",
                                    .detail = "greta query \"SELECT 1 < 2\""},
                                   {.outcome = JunitCase::Outcome::error,
                                    .group = "gates",
                                    .name = "none",
                                    .type = "not_measured"},
                                   {.outcome = JunitCase::Outcome::skipped,
                                    .group = "gates",
                                    .name = "later",
                                    .message = "no"}}};
  EXPECT_EQ(to_junit(suite),
            R"(<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="greta run B3.21-1" tests="4" failures="1" errors="1" skipped="1" time="1.250" timestamp="2026-02-03T10:00:00.000Z">
    <properties>
      <property name="commit" value="c0ffee"/>
    </properties>
    <testcase classname="gates" name="kv_ok"/>
    <testcase classname="gates" name="attn_vs_ref">
      <failure type="fail" message="max 0.04 &gt; 1e-5">greta query &quot;SELECT 1 &lt; 2&quot;</failure>
    </testcase>
    <testcase classname="gates" name="none">
      <error type="not_measured" message=""></error>
    </testcase>
    <testcase classname="gates" name="later">
      <skipped message="no"/>
    </testcase>
  </testsuite>
</testsuites>
)");
}

TEST(Junit, AnyBytesMakeValidXml) {
  const std::pair<const char*, const char*> cases[] = {
      {"a<b>&\"", "a&lt;b&gt;&amp;&quot;"},
      {"\x1b[31m", "\\x1b[31m"},
      {"caf\xe9", "caf\\xe9"},
      {"ñ", "ñ"},
  };
  for (const auto& [text, expected] : cases) {
    const std::string xml =
        to_junit({.name = text, .timestamp = "", .properties = {}, .cases = {}});
    EXPECT_NE(xml.find("name=\"" + std::string(expected) + "\""), std::string::npos) << xml;
  }
}

}  // namespace
}  // namespace greta::store
