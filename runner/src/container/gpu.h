#pragma once
// What the drivers say of the GPUs, as facts of a run: firmware, clocks, power cap, partitions.
// Read from /sys and /proc below a root; what is not there is no fact.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace greta::runner {

// One for each GPU that the compute driver has: "gfx942" (gfx_target_version 90402).
std::vector<std::string> amd_architectures(const std::filesystem::path& root);

// gpu.amd.count, .arch, .unique_id, .vbios, .firmware.NAME, .compute_partition, .memory_partition,
// .power_cap_w, .sclk_mhz_max, .mclk_mhz_max, and of this moment .sclk_mhz_now, .mclk_mhz_now;
// gpu.nvidia.count, .model, .vbios, .firmware, .uuid. Where cards differ, "card0 A, card1 B".
std::map<std::string, std::string> gpu_facts(const std::filesystem::path& root);

}  // namespace greta::runner
