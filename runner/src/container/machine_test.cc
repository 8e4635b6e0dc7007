#include "container/machine.h"

#include <gtest/gtest.h>

#include "system/files.h"
#include "system/test_folder.h"

namespace greta::runner {
namespace {

// A root as an MI300X owner has it (device nodes are plain files here: only their presence counts).
void make_mi300x(const TestFolder& root) {
  root.write("proc/cpuinfo",
             "processor\t: 0\nmodel name\t: AMD EPYC 9654\nflags\t\t: fpu avx2 avx512f avx512bw\n\n"
             "processor\t: 1\nmodel name\t: AMD EPYC 9654\n");
  root.write("proc/meminfo", "MemTotal:       16384 kB\n");
  root.write("dev/kfd", "");
  root.write("dev/dri/renderD128", "");
  root.write("dev/dri/card0", "");
  root.write("etc/group", "root:x:0:\nvideo:x:44:me\nrender:x:109:me\nvideotape:x:7:\n");
  root.write("sys/module/amdgpu/version", "6.10.5\n");
  root.write("sys/bus/pci/devices/0000:05:00.0/vendor", "0x1002\n");
  root.write("sys/bus/pci/devices/0000:05:00.0/class", "0x120000\n");
  root.write("sys/bus/pci/devices/0000:06:00.0/vendor", "0x1002\n");  // a bridge of the card
  root.write("sys/bus/pci/devices/0000:06:00.0/class", "0x060400\n");
  root.write("sys/bus/pci/devices/0000:07:00.0/vendor", "0x1a03\n");  // the board's display
  root.write("sys/bus/pci/devices/0000:07:00.0/class", "0x030000\n");
  root.write("sys/class/kfd/kfd/topology/nodes/0/properties", "gfx_target_version 0\n");
  root.write("sys/class/kfd/kfd/topology/nodes/1/properties",
             "simd_count 1216\ngfx_target_version 90402\n");
}

TEST(Machine, AnMi300xIsSeenWithItsGroupsAndDriver) {
  const TestFolder root;
  make_mi300x(root);
  const Machine machine = inspect_machine(root.path());
  EXPECT_EQ(machine.cpu, "AMD EPYC 9654");
  EXPECT_EQ(machine.isa, "avx512");
  EXPECT_EQ(machine.cpus, 2);
  EXPECT_EQ(machine.memory_bytes, 16384 * 1024);
  EXPECT_TRUE(machine.amd_kfd);
  EXPECT_EQ(machine.render_nodes, std::vector<std::string>{"renderD128"});
  EXPECT_EQ(machine.amd_groups, (std::vector<int64_t>{44, 109}));
  EXPECT_EQ(machine.amd_driver, "6.10.5");
  EXPECT_EQ(machine.amd_card, "gfx942");
  EXPECT_EQ(machine.amd_cards, 1);
  EXPECT_EQ(machine.nvidia_cards, 0);
  EXPECT_TRUE(machine.amd_module);
  EXPECT_TRUE(machine.amd_may_open);
  EXPECT_EQ(machine.gpu_facts.at("gpu.amd.arch"), "gfx942");
  for (const char* backend : {"auto", "hip"}) {
    const auto devices = devices_for(backend, machine);
    ASSERT_TRUE(devices) << backend;
    EXPECT_EQ(devices->route, DeviceRoute::amd_kfd) << backend;
    EXPECT_EQ(devices->groups, machine.amd_groups) << backend;
  }
  EXPECT_EQ(devices_for("cpu", machine)->route, DeviceRoute::none);
}

TEST(Machine, CdiSpecsComeBeforeRawDevices) {
  const TestFolder root;
  make_mi300x(root);
  root.write("etc/cdi/amd.json", R"({"kind": "amd.com/gpu"})");
  EXPECT_EQ(devices_for("auto", inspect_machine(root.path()))->route, DeviceRoute::amd_cdi);
  const TestFolder other;
  other.write("var/run/cdi/nvidia.yaml", "kind: nvidia.com/gpu\n");
  EXPECT_EQ(devices_for("cuda", inspect_machine(other.path()))->route, DeviceRoute::nvidia_cdi);
}

TEST(Machine, AMissingDeviceIsAnErrorOnlyWhereItWasAskedFor) {
  const TestFolder root;
  const Machine bare = inspect_machine(root.path());
  EXPECT_EQ(devices_for("auto", bare)->route, DeviceRoute::none);
  const auto hip = devices_for("hip", bare);
  ASSERT_FALSE(hip);
  EXPECT_EQ(hip.error().exit_code, 4);
  EXPECT_NE(hip.error().message.find("/dev/kfd"), std::string::npos);
  const auto cuda = devices_for("cuda", bare);
  ASSERT_FALSE(cuda);
  EXPECT_NE(cuda.error().message.find("nvidia"), std::string::npos);

  root.write("dev/kfd", "");
  const auto half = devices_for("hip", inspect_machine(root.path()));
  ASSERT_FALSE(half);
  EXPECT_NE(half.error().message.find("renderD"), std::string::npos);
}

TEST(Machine, WhoMayUseAGpuIsKnownBeforeItRuns) {
  const TestFolder root;
  make_mi300x(root);
  Machine card = inspect_machine(root.path()), none, driver_only;
  driver_only.nvidia = true;
  struct Case {
    const char* backend;
    const Machine& machine;
    bool in_container, may;
  };
  for (const auto& test :
       {Case{"auto", card, true, true}, Case{"hip", card, true, true},
        Case{"cpu", card, true, false}, Case{"cpu", card, false, false},
        Case{"ref", card, true, false}, Case{"auto", none, false, false},
        Case{"auto", driver_only, true, false}, Case{"auto", driver_only, false, true}}) {
    EXPECT_EQ(may_use_gpu(test.backend, test.machine, test.in_container), test.may)
        << test.backend << test.in_container;
  }
}

TEST(Files, AnOwnerIsGoneOnlyWhereThatIsCertain) {
  const std::string here = this_machine(), host = here.substr(0, here.find('/'));
  struct Case {
    std::string owner, machine;
    bool gone;
  };
  for (const auto& test : {Case{this_owner(), here, false}, Case{"999999999:5", here, true},
                           Case{"999999999:5", "", false}, Case{"1:2", host + "x/b/p", false},
                           Case{this_owner(), host + "/earlier-boot/p", true},
                           Case{"999999999:5", here + "x", false}}) {
    EXPECT_EQ(owner_is_gone(test.owner, test.machine), test.gone) << test.owner << test.machine;
  }
}

TEST(Files, AnOwnerIsAliveOnlyWithItsStartTime) {
  const std::string me = this_owner();
  EXPECT_TRUE(owner_is_alive(me));
  EXPECT_FALSE(owner_is_alive(me + "1"));
  for (const char* wrong : {"", ":", "1", "abc:1", "../1:2", "999999999:5"}) {
    EXPECT_FALSE(owner_is_alive(wrong)) << wrong;
  }
}

TEST(Files, DurationsAndSizesReadLikePeopleSayThem) {
  EXPECT_EQ(human_duration(0.25), "0.2 s");
  EXPECT_EQ(human_duration(42), "42 s");
  EXPECT_EQ(human_duration(185), "3 min 05 s");
  EXPECT_EQ(human_bytes(512), "512 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(4.0 * (1 << 30)), "4.0 GiB");
}

}  // namespace
}  // namespace greta::runner
