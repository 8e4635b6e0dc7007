#include "container/tool_probe.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "system/files.h"
#include "system/test_cancel.h"
#include "system/test_folder.h"

namespace greta::runner {
namespace {

// PATH and the cache folder of one test; put back at its end.
class Surroundings {
 public:
  Surroundings(const TestFolder& folder, const std::string& path) : old_(std::getenv("PATH")) {
    setenv("PATH", path.c_str(), 1);
    setenv("XDG_CACHE_HOME", (folder / "cache").c_str(), 1);
  }
  ~Surroundings() {
    setenv("PATH", old_.c_str(), 1);
    unsetenv("XDG_CACHE_HOME");
  }

 private:
  std::string old_;
};

// A podman that works only with the options named in `needs`, and counts its calls.
void fake_podman(const TestFolder& folder, const std::string& needs) {
  folder.script("bin/podman",
                "[ \"$1\" = --version ] && { echo podman version 9.9.9; exit 0; }\n"
                "echo x >> '" +
                    (folder / "calls").string() +
                    "'\n"
                    "case \"$*\" in " +
                    needs +
                    ") exit 0;; esac\n"
                    "echo 'OCI permission denied' >&2; exit 126\n");
  folder.script("bin/runc", "exit 0\n");
}

size_t calls(const TestFolder& folder) {
  const auto text = read_file(folder / "calls");
  return text ? text->size() / 2 : 0;
}

TEST(ToolProbe, TheLadderStopsAtTheFirstThatWorksAndRemembersIt) {
  const TestFolder folder;
  fake_podman(folder, "*'--runtime runc'*nofile=*");
  const Surroundings around(folder, (folder / "bin").string() + ":/usr/bin:/bin");
  const ToolState first = probe_tool(Tool::podman, kNever);
  ASSERT_TRUE(first.usable) << first.problem;
  EXPECT_EQ(first.version, "9.9.9");
  EXPECT_EQ(first.quirks.options.at(1), "runc");
  EXPECT_TRUE(first.quirks.limits);
  const size_t probes = calls(folder);
  EXPECT_GE(probes, 2u);

  const ToolState second = probe_tool(Tool::podman, kNever);
  EXPECT_EQ(second.quirks.options, first.quirks.options);
  EXPECT_EQ(calls(folder), probes) << "the answer was not remembered";
  probe_tool(Tool::podman, kNever, Memory::probe_again);
  EXPECT_GT(calls(folder), probes);

  // A damaged memory is no answer.
  folder.write("cache/greta/podman.json", "{\"key\": 3");
  EXPECT_TRUE(probe_tool(Tool::podman, kNever).usable);
}

TEST(ToolProbe, WithoutCgroupsTheLimitsAreGivenUpLast) {
  const TestFolder folder;
  fake_podman(folder, "*--cgroups=disabled*");
  const Surroundings around(folder, (folder / "bin").string() + ":/usr/bin:/bin");
  const ToolState state = probe_tool(Tool::podman, kNever);
  ASSERT_TRUE(state.usable);
  EXPECT_FALSE(state.quirks.limits);
  EXPECT_NE(state.found.find("without memory and pid limits"), std::string::npos);
}

TEST(ToolProbe, NothingWorksIsSaidWithTheFirstError) {
  const TestFolder folder;
  fake_podman(folder, "never-this");
  const Surroundings around(folder, (folder / "bin").string() + ":/usr/bin:/bin");
  const ToolState state = probe_tool(Tool::podman, kNever);
  EXPECT_FALSE(state.usable);
  EXPECT_NE(state.problem.find("OCI permission denied"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder / "cache/greta/podman.json"));
}

TEST(ToolProbe, MissingToolsAndADeadDaemonNameTheFix) {
  const TestFolder folder;
  {
    const Surroundings around(folder, folder.path().string());
    for (const Tool tool : {Tool::podman, Tool::docker}) {
      const ToolState state = probe_tool(tool, kNever);
      EXPECT_FALSE(state.installed);
      EXPECT_NE(state.fix.find("apt-get install"), std::string::npos);
    }
  }
  struct Case {
    const char *says, *fix;
  };
  for (const auto& test : {Case{"Cannot connect to the Docker daemon", "dockerd"},
                           Case{"permission denied while trying to connect", "group `docker`"}}) {
    folder.script("bin/docker", std::string("echo '") + test.says + "' >&2; exit 1\n");
    const Surroundings around(folder, (folder / "bin").string() + ":/usr/bin:/bin");
    const ToolState state = probe_tool(Tool::docker, kNever);
    EXPECT_TRUE(state.installed);
    EXPECT_FALSE(state.usable);
    EXPECT_NE(state.fix.find(test.fix), std::string::npos) << state.fix;
  }
}

}  // namespace
}  // namespace greta::runner
