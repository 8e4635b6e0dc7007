#include "commands/doctor.h"

#include <gtest/gtest.h>

namespace greta::runner {
namespace {

ToolState usable(Tool tool, const std::string& found) {
  ToolState state;
  state.tool = tool;
  state.installed = state.usable = true;
  state.version = "1.2.3";
  state.found = found;
  return state;
}

ToolState missing(Tool tool) {
  ToolState state;
  state.tool = tool;
  state.problem = "not installed";
  state.fix = "install it";
  return state;
}

TEST(Doctor, OneToolIsEnoughNoneIsBad) {
  auto findings = tool_findings(usable(Tool::podman, "with --runtime runc"), missing(Tool::docker));
  EXPECT_EQ(findings[0].health, Health::good);
  EXPECT_EQ(findings[0].state, "1.2.3, with --runtime runc");
  EXPECT_EQ(findings[1].health, Health::note);
  findings = tool_findings(missing(Tool::podman), missing(Tool::docker));
  for (const auto& finding : findings) {
    EXPECT_EQ(finding.health, Health::bad);
    EXPECT_EQ(finding.fix, "install it");
  }
}

TEST(Doctor, EveryDeviceStateHasItsFix) {
  Machine machine;
  auto findings = device_findings(machine);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].health, Health::note) << "a machine without a GPU is fine";
  EXPECT_NE(findings[0].fix.find("amdgpu"), std::string::npos);

  machine.amd_kfd = true;
  machine.amd_card = "gfx942";
  machine.amd_groups = {44, 109};
  findings = device_findings(machine);
  EXPECT_EQ(findings[0].health, Health::bad);
  EXPECT_NE(findings[0].state.find("no /dev/dri/renderD*"), std::string::npos);
  EXPECT_NE(findings[0].state.find("groups 44 109"), std::string::npos);

  machine.nvidia = true;
  findings = device_findings(machine);
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[1].health, Health::bad);
  EXPECT_NE(findings[1].fix.find("nvidia-ctk cdi generate"), std::string::npos);
  machine.nvidia_cdi = true;
  EXPECT_EQ(device_findings(machine)[1].health, Health::good);
}

TEST(Doctor, TheTextAlignsAndPointsAtFixes) {
  EXPECT_EQ(to_text({{.health = Health::good, .what = "git", .state = "2.39"},
                     {.health = Health::bad, .what = "podman", .state = "gone", .fix = "get it"}}),
            "ok    git     2.39\n"
            "BAD   podman  gone\n"
            "              → get it\n");
}

}  // namespace
}  // namespace greta::runner
