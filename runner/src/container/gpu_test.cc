#include "container/gpu.h"

#include <gtest/gtest.h>

#include "system/test_folder.h"

namespace greta::runner {
namespace {

using Facts = std::map<std::string, std::string>;

// A card of amdgpu as sysfs shows it (names and forms as the driver writes them).
void add_card(const TestFolder& root, const std::string& card, const std::string& id,
              const std::string& mec) {
  const std::string device = "sys/class/drm/" + card + "/device/";
  root.write(device + "vendor", "0x1002\n");
  root.write(device + "unique_id", id + "\n");
  root.write(device + "vbios_version", "113-M3000100-102\n");
  root.write(device + "current_compute_partition", "SPX\n");
  root.write(device + "current_memory_partition", "NPS1\n");
  root.write(device + "hwmon/hwmon4/power1_cap", "750000000\n");
  root.write(device + "pp_dpm_sclk", "S: 134Mhz *\n0: 500Mhz\n1: 2100Mhz\n");
  root.write(device + "pp_dpm_mclk", "0: 900Mhz\n1: 1300Mhz *\n");
  root.write(device + "fw_version/mec_fw_version", mec + "\n");
  root.write(device + "fw_version/smc_fw_version", "0x00557400\n");
}

TEST(Gpu, AnMi300xSaysWhatItIs) {
  const TestFolder root;
  add_card(root, "card1", "a1b2", "0x000000a5");
  root.write("sys/class/drm/card1-DP-1/status", "connected\n");
  root.write("sys/class/drm/card0/device/vendor", "0x1a03\n");  // the board's own display
  root.write("sys/class/drm/card0/device/unique_id", "ffff\n");
  root.write("sys/class/kfd/kfd/topology/nodes/0/properties", "gfx_target_version 0\n");
  root.write("sys/class/kfd/kfd/topology/nodes/1/properties",
             "simd_count 1216\ngfx_target_version 90402\n");
  EXPECT_EQ(gpu_facts(root.path()), (Facts{{"gpu.amd.arch", "gfx942"},
                                           {"gpu.amd.compute_partition", "SPX"},
                                           {"gpu.amd.count", "1"},
                                           {"gpu.amd.firmware.mec", "0x000000a5"},
                                           {"gpu.amd.firmware.smc", "0x00557400"},
                                           {"gpu.amd.mclk_mhz_max", "1300"},
                                           {"gpu.amd.mclk_mhz_now", "1300"},
                                           {"gpu.amd.memory_partition", "NPS1"},
                                           {"gpu.amd.power_cap_w", "750"},
                                           {"gpu.amd.sclk_mhz_max", "2100"},
                                           {"gpu.amd.sclk_mhz_now", "134"},
                                           {"gpu.amd.unique_id", "a1b2"},
                                           {"gpu.amd.vbios", "113-M3000100-102"}}));
}

TEST(Gpu, CardsThatDifferAreNamed) {
  const TestFolder root;
  add_card(root, "card2", "a", "0xa5");
  add_card(root, "card10", "b", "0xa6");
  const Facts facts = gpu_facts(root.path());
  EXPECT_EQ(facts.at("gpu.amd.firmware.mec"), "card2 0xa5, card10 0xa6");
  EXPECT_EQ(facts.at("gpu.amd.unique_id"), "card2 a, card10 b");
  EXPECT_EQ(facts.at("gpu.amd.firmware.smc"), "0x00557400");
}

TEST(Gpu, NvidiaByItsProcFiles) {
  const TestFolder root;
  for (const char* gpu : {"0000:1a:00.0", "0000:1b:00.0"}) {
    root.write("proc/driver/nvidia/gpus/" + std::string(gpu) + "/information",
               "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 31\nGPU UUID: \t GPU-" +
                   std::string(gpu) + "\nVideo BIOS: \t 96.00.89.00.01\nGPU Firmware: \t 550.54\n");
  }
  const Facts facts = gpu_facts(root.path());
  EXPECT_EQ(facts.at("gpu.nvidia.model"), "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(facts.at("gpu.nvidia.count"), "2");
  EXPECT_EQ(facts.at("gpu.nvidia.vbios"), "96.00.89.00.01");
  EXPECT_EQ(facts.at("gpu.nvidia.firmware"), "550.54");
}

TEST(Gpu, WhatIsNotThereOrNotReadableIsNoFact) {
  const TestFolder root;
  EXPECT_EQ(gpu_facts(root.path()), Facts());
  const std::string device = "sys/class/drm/card0/device/";
  root.write(device + "vendor", "0x1002\n");
  root.write(device + "pp_dpm_sclk", "\n");
  root.write(device + "hwmon/hwmon0/power1_cap", "none\n");
  root.write(device + "unique_id", "");
  EXPECT_EQ(gpu_facts(root.path()), Facts());
}

TEST(Gpu, ArchitecturesAsTheCompilerNamesThem) {
  for (const auto& [version, name] : std::map<std::string, std::string>{
           {"90402", "gfx942"}, {"90010", "gfx90a"}, {"110001", "gfx1101"}, {"90500", "gfx950"}}) {
    const TestFolder root;
    root.write("sys/class/kfd/kfd/topology/nodes/1/properties",
               "gfx_target_version " + version + "\n");
    EXPECT_EQ(amd_architectures(root.path()), std::vector<std::string>{name}) << version;
  }
}

}  // namespace
}  // namespace greta::runner
