#include "container/container.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "system/files.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;

ContainerSpec full_spec(Tool tool) {
  ContainerSpec spec;
  spec.tool = tool;
  spec.image = "localhost/greta/rocm:0123456789ab";
  spec.name = "greta-4711-0";
  spec.labels = {{"greta.owner", "4711:123456"}, {"greta.run", "B3.21"}, {"greta.store", "aabbcc"}};
  spec.mounts = {{"/data/tiny.gguf", "/greta/model/tiny.gguf", false},
                 {"/w/.greta/tmp/1/requests.jsonl", "/greta/in/requests.jsonl", false},
                 {"/w/.greta/engines/ff/greta-infer", "/greta/engine/greta-infer", false},
                 {"/w/.greta/tmp/1/out", "/greta/out", true}};
  spec.environment = {{"GRETA_FORCE_ATTN_DECODE_KERNEL", "fused"}, {"HOME", "/tmp"}};
  spec.workdir = "/greta/out";
  spec.argv = {"/greta/engine/greta-infer", "run", "--model", "/greta/model/tiny.gguf"};
  spec.memory_bytes = 8589934592;
  spec.pids = 256;
  spec.file_bytes = 4294967296;
  return spec;
}

struct Command {
  const char* name;
  ContainerSpec (*make)();
};

const Command kCommands[] = {
    {"podman", [] { return full_spec(Tool::podman); }},
    {"podman_quirks",
     [] {
       auto spec = full_spec(Tool::podman);
       spec.quirks.options = {"--runtime",        "runc",     "--ulimit",
                              "nofile=1024:1024", "--ulimit", "nproc=4096:4096"};
       return spec;
     }},
    {"podman_no_cgroups",
     [] {
       auto spec = full_spec(Tool::podman);
       spec.quirks = {.options = {"--cgroups=disabled"}, .build_options = {}, .limits = false};
       return spec;
     }},
    {"podman_rootless",
     [] {
       auto spec = full_spec(Tool::podman);
       spec.rootless = true;
       spec.uid = spec.gid = 1000;
       return spec;
     }},
    {"podman_amd_kfd",
     [] {
       auto spec = full_spec(Tool::podman);
       spec.devices = {.route = DeviceRoute::amd_kfd, .groups = {44, 109}};
       return spec;
     }},
    {"podman_amd_kfd_rootless",
     [] {
       auto spec = full_spec(Tool::podman);
       spec.rootless = true;
       spec.uid = spec.gid = 1000;
       spec.devices = {.route = DeviceRoute::amd_kfd, .groups = {44, 109}};
       return spec;
     }},
    {"podman_amd_cdi",
     [] {
       auto spec = full_spec(Tool::podman);
       spec.devices = {.route = DeviceRoute::amd_cdi, .groups = {44, 109}};
       return spec;
     }},
    {"podman_nvidia_cdi",
     [] {
       auto spec = full_spec(Tool::podman);
       spec.devices.route = DeviceRoute::nvidia_cdi;
       return spec;
     }},
    {"docker", [] { return full_spec(Tool::docker); }},
    {"docker_amd_kfd",
     [] {
       auto spec = full_spec(Tool::docker);
       spec.devices = {.route = DeviceRoute::amd_kfd, .groups = {44, 109}};
       return spec;
     }},
    {"docker_amd_cdi",
     [] {
       auto spec = full_spec(Tool::docker);
       spec.devices = {.route = DeviceRoute::amd_cdi, .groups = {44, 109}};
       return spec;
     }},
    {"docker_nvidia_cdi",
     [] {
       auto spec = full_spec(Tool::docker);
       spec.devices.route = DeviceRoute::nvidia_cdi;
       return spec;
     }},
};

void compare_with_golden(const std::string& name, const std::vector<std::string>& argv) {
  std::string text;
  for (const auto& word : argv) text += word + "\n";
  const fs::path golden = fs::path(RUNNER_TESTDATA) / "argv" / (name + ".txt");
  if (const char* update = std::getenv("GRETA_UPDATE_GOLDENS"); update && *update != '\0') {
    ASSERT_TRUE(make_folders(golden.parent_path()));
    ASSERT_TRUE(write_file(golden, text));
  }
  const auto expected = read_file(golden);
  ASSERT_TRUE(expected) << expected.error().str();
  EXPECT_EQ(text, *expected) << name << ": regenerate with GRETA_UPDATE_GOLDENS=1";
}

TEST(ContainerArgv, EveryRouteMatchesItsGolden) {
  for (const auto& test : kCommands) compare_with_golden(test.name, run_argv(test.make()));
}

// What no golden update may take away: looked for in every case.
TEST(ContainerArgv, TheSandboxIsNeverLeftOut) {
  for (const auto& test : kCommands) {
    std::string line;
    for (const auto& word : run_argv(test.make())) line += " " + word;
    for (const char* part :
         {" --network none", " --read-only ", " --cap-drop all",
          " --security-opt no-new-privileges", " --user ", " --pull never", " --entrypoint "}) {
      EXPECT_NE(line.find(part), std::string::npos) << test.name << " lacks" << part;
    }
    EXPECT_EQ(line.find("--privileged"), std::string::npos) << test.name;
    EXPECT_EQ(line.find("--user 0"), std::string::npos) << test.name;
    const bool amd = std::string(test.name).find("_amd_") != std::string::npos;
    EXPECT_EQ(line.find("seccomp=unconfined") != std::string::npos, amd) << test.name;
    EXPECT_EQ(line.find("--device") != std::string::npos,
              test.make().devices.route != DeviceRoute::none)
        << test.name;
  }
}

TEST(ContainerArgv, BuildsMatchTheirGoldens) {
  ImageBuild build;
  build.folder = "/repo/docker/rocm";
  build.tag = "localhost/greta/rocm:0123456789ab";
  build.build_args = {{"BASE", "localhost/greta/base:trixie"}};
  build.labels = {{"greta.recipe", "0123"}};
  build.quirks.build_options = {"--runtime", "runc"};
  compare_with_golden("build_podman", build_argv(build));
  build.tool = Tool::docker;
  build.quirks = {};
  compare_with_golden("build_docker", build_argv(build));
}

TEST(ContainerArgv, RemovalIgnoresWhatIsGone) {
  EXPECT_EQ(
      remove_argv(Tool::podman, "greta-1"),
      (std::vector<std::string>{"podman", "rm", "--force", "--time", "0", "--ignore", "greta-1"}));
  EXPECT_EQ(remove_argv(Tool::docker, "greta-1"),
            (std::vector<std::string>{"docker", "rm", "--force", "greta-1"}));
}

}  // namespace
}  // namespace greta::runner
