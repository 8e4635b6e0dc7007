#include "commands/doctor.h"

#include <gtest/gtest.h>

#include <functional>

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

// From a bare box with an MI300X to one that is ready: each step is named with the next thing to
// do.
TEST(Doctor, AnMi300xStepByStep) {
  Machine machine;
  struct Step {
    std::function<void(Machine&)> change;
    Health health;
    const char *state, *fix;
  };
  const Step steps[] = {
      {[](Machine&) {}, Health::note, "no card on the PCI bus: experiments run on the CPU", "pass"},
      {[](Machine& m) { m.amd_cards = 8; }, Health::bad,
       "8 AMD cards on the PCI bus, but the driver amdgpu is not loaded", "modprobe amdgpu"},
      {[](Machine& m) { m.amd_module = true; }, Health::bad, "but there is no /dev/kfd", "dmesg"},
      {[](Machine& m) { m.amd_kfd = true; }, Health::bad, "groups none, but the driver has no GPU",
       "passed through"},
      {[](Machine& m) {
         m.amd_card = "gfx942";
         m.amd_groups = {44, 109};
       },
       Health::bad, "gfx942, amdgpu driver of the kernel, groups 44 109, no /dev/dri/renderD*",
       "render nodes"},
      {[](Machine& m) { m.render_nodes = {"renderD128"}; }, Health::bad, "may not open /dev/kfd",
       "usermod -aG render,video"},
      {[](Machine& m) { m.amd_may_open = true; }, Health::good,
       "enters containers by /dev/kfd and /dev/dri", ""},
      {[](Machine& m) { m.amd_cdi = true; }, Health::good, "enters containers by CDI", ""},
  };
  for (const Step& step : steps) {
    step.change(machine);
    const Finding finding = device_findings(machine).at(0);
    EXPECT_EQ(finding.what, "AMD GPU");
    EXPECT_EQ(finding.health, step.health) << step.state;
    EXPECT_NE(finding.state.find(step.state), std::string::npos) << finding.state;
    EXPECT_NE(finding.fix.find(step.fix), std::string::npos) << finding.fix;
    EXPECT_EQ(finding.fix.empty(), step.health == Health::good) << step.state;
  }
  EXPECT_EQ(device_findings(machine).size(), 2U);
  machine.gpu_facts["gpu.amd.compute_partition"] = "CPX";
  EXPECT_NE(device_findings(machine).at(1).state.find("partition CPX"), std::string::npos);
  machine.gpu_facts["gpu.amd.compute_partition"] = "SPX";
  machine.amd_card = "gfx90a";
  EXPECT_NE(device_findings(machine).at(1).state.find("this card is gfx90a"), std::string::npos);
}

TEST(Doctor, NvidiaStepByStep) {
  Machine machine;
  const auto finding = [&] { return device_findings(machine).back(); };
  EXPECT_EQ(finding().what, "NVIDIA GPU");
  EXPECT_EQ(finding().health, Health::note) << "a machine without a GPU is fine";
  machine.nvidia_cards = 1;
  EXPECT_EQ(finding().health, Health::bad);
  EXPECT_NE(finding().state.find("1 NVIDIA card on the PCI bus, but its driver"),
            std::string::npos);
  machine.nvidia = true;
  EXPECT_EQ(finding().health, Health::bad);
  EXPECT_NE(finding().fix.find("nvidia-ctk cdi generate"), std::string::npos);
  machine.nvidia_cdi = true;
  EXPECT_EQ(finding().health, Health::good);
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
