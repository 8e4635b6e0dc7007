#pragma once
// JUnit's XML, as CI systems read it: one <testsuite>, a <testcase> each.

#include <string>
#include <utility>
#include <vector>

namespace greta::store {

struct JunitCase {
  enum class Outcome { passed, failed, error, skipped } outcome = Outcome::passed;
  std::string group, name;  // classname and name
  std::string type = {};    // of a failure or error: "not_measured"
  std::string message = {};
  std::string detail = {};  // what a person looks at next, such as a query
};
struct JunitSuite {
  std::string name, timestamp;
  double seconds = 0;
  std::vector<std::pair<std::string, std::string>> properties;
  std::vector<JunitCase> cases;
};

// Any bytes may stand in the texts: what XML 1.0 cannot hold is made visible (\x1b).
std::string to_junit(const JunitSuite& suite);

}  // namespace greta::store
