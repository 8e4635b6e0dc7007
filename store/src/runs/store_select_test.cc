#include <gtest/gtest.h>

#include "gates/compare_fixture.h"

namespace greta::store {
namespace {

class SelectAll : public RunFixture {
 protected:
  std::string run(const std::string& milestone, const std::string& commit = "c0ffee",
                  const std::string& provenance = "executed", const std::string& status = "ok") {
    TestRun test = clean_run();
    test.milestone = milestone;
    test.environment["commit"] = commit;
    test.provenance = provenance;
    test.attempts[0].status = status;
    add(test);
    return name_;
  }
  std::vector<std::string> names(const std::string& selectors) {
    const auto chosen = store().select_all(selectors);
    EXPECT_TRUE(chosen) << selectors << ": " << chosen.error().str();
    std::vector<std::string> out;
    for (const Selection& one : chosen.value_or(std::vector<Selection>{})) out.push_back(one.name);
    return out;
  }
};

TEST_F(SelectAll, NamesGlobsAndCommits) {
  const std::string old = run("B1.1", "abc123"), accepted = run("B1.1", "abc999");
  const std::string other = run("B1.2", "def456"), reenacted = run("B1.1", "abc123", "reenacted");
  run("B1.3", "abc123", "executed", "failed");
  ASSERT_TRUE(store().accept(old));
  const struct {
    const char* selectors;
    std::vector<std::string> runs;
  } cases[] = {
      {"B1.1", {old}},
      {"B1.1,B1.2", {old, other}},
      {"B1.2,B1.1,B1.2", {other, old}},
      {"B1.*", {old, other}},  // B1.3 has no complete run
      {"B1.1@*", {accepted, old}},
      {"B1.*@*", {other, accepted, old}},
      {"commit:abc", {accepted, old}},
      {"commit:abc9", {accepted}},
      {"B1.2,commit:abc9", {other, accepted}},
  };
  for (const auto& c : cases) EXPECT_EQ(names(c.selectors), c.runs) << c.selectors;
}

TEST_F(SelectAll, MistakesAreNamed) {
  run("B1.1");
  const std::pair<const char*, const char*> cases[] = {
      {"B2.*", "no complete run matches `B2.*`"},
      {"commit:", "the first digits of a commit"},
      {"commit:ffff", "no complete run matches `commit:ffff`"},
      {"B1.*@recorded", "no complete run matches"},
      {"B1.1,", "an empty name"},
      {"B1.2,B1.1", "did you mean `B1.1`"},
  };
  for (const auto& [selectors, message] : cases) {
    const auto chosen = store().select_all(selectors);
    ASSERT_FALSE(chosen) << selectors;
    EXPECT_NE(chosen.error().str().find(message), std::string::npos) << chosen.error().str();
    EXPECT_EQ(chosen.error().exit_code, 2);
  }
}

}  // namespace
}  // namespace greta::store
