#include "text/junit.h"

#include <algorithm>
#include <cstdio>

#include "contract/xml.h"
#include "text/markdown.h"

namespace greta::store {
namespace {

std::string escaped(const std::string& text) { return xml_escaped(visible_text(text)); }

std::string attribute(const char* name, const std::string& value) {
  return std::string(" ") + name + "=\"" + escaped(value) + "\"";
}

std::string body(const JunitCase& each) {
  if (each.outcome == JunitCase::Outcome::passed) return "/>\n";
  if (each.outcome == JunitCase::Outcome::skipped)
    return ">\n      <skipped" + attribute("message", each.message) +
           (each.detail.empty() ? "/>" : ">" + escaped(each.detail) + "</skipped>") +
           "\n    </testcase>\n";
  const std::string tag = each.outcome == JunitCase::Outcome::failed ? "failure" : "error";
  return ">\n      <" + tag + attribute("type", each.type) + attribute("message", each.message) +
         ">" + escaped(each.detail) + "</" + tag + ">\n    </testcase>\n";
}

}  // namespace

std::string to_junit(const JunitSuite& suite) {
  const auto count = [&](JunitCase::Outcome outcome) {
    return std::to_string(
        std::count_if(suite.cases.begin(), suite.cases.end(),
                      [&](const JunitCase& each) { return each.outcome == outcome; }));
  };
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.3f", suite.seconds);
  std::string out =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite" +
      attribute("name", suite.name) + attribute("tests", std::to_string(suite.cases.size())) +
      attribute("failures", count(JunitCase::Outcome::failed)) +
      attribute("errors", count(JunitCase::Outcome::error)) +
      attribute("skipped", count(JunitCase::Outcome::skipped)) + attribute("time", seconds);
  if (!suite.timestamp.empty()) out += attribute("timestamp", suite.timestamp);
  out += ">\n";
  if (!suite.properties.empty()) {
    out += "    <properties>\n";
    for (const auto& [name, value] : suite.properties)
      out += "      <property" + attribute("name", name) + attribute("value", value) + "/>\n";
    out += "    </properties>\n";
  }
  for (const JunitCase& each : suite.cases)
    out += "    <testcase" + attribute("classname", each.group) + attribute("name", each.name) +
           body(each);
  return out + "  </testsuite>\n</testsuites>\n";
}

}  // namespace greta::store
