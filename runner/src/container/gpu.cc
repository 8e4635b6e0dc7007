#include "container/gpu.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <optional>

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

// Values of one fact, in the order of the cards.
using PerCard = std::vector<std::pair<std::string, std::string>>;
using Facts = std::map<std::string, PerCard>;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    out.push_back(it->path().filename().string());
  // card2 stands before card10.
  std::sort(out.begin(), out.end(), [](const std::string& a, const std::string& b) {
    return std::pair(a.size(), a) < std::pair(b.size(), b);
  });
  return out;
}

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) line.pop_back();
  return line;
}

void add_line(Facts& facts, const std::string& fact, const std::string& card,
              const fs::path& file) {
  const std::string line = first_line(file);
  if (!line.empty()) facts[fact].emplace_back(card, line);
}

// "0: 132Mhz *" a level, the current one with a star.
void add_clock(Facts& facts, const std::string& fact, const std::string& card,
               const fs::path& file) {
  std::ifstream in(file);
  int most = 0, now = 0;
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(':');
    int mhz = 0;
    if (colon == std::string::npos || std::sscanf(line.c_str() + colon + 1, "%d", &mhz) != 1)
      continue;
    most = std::max(most, mhz);
    if (line.find('*') != std::string::npos) now = mhz;
  }
  if (most > 0) facts[fact + "_max"].emplace_back(card, std::to_string(most));
  if (now > 0) facts[fact + "_now"].emplace_back(card, std::to_string(now));
}

void add_power_cap(Facts& facts, const std::string& card, const fs::path& device) {
  for (const std::string& monitor : names_in(device / "hwmon")) {
    const std::string microwatts = first_line(device / "hwmon" / monitor / "power1_cap");
    int64_t value = 0;
    const char* const end = microwatts.data() + microwatts.size();
    if (microwatts.empty() || std::from_chars(microwatts.data(), end, value).ptr != end) continue;
    facts["power_cap_w"].emplace_back(card, std::to_string(value / 1'000'000));
  }
}

Facts amd_facts(const fs::path& root) {
  constexpr char kAmd[] = "0x1002";
  Facts facts;
  const fs::path cards = root / "sys/class/drm";
  for (const std::string& card : names_in(cards)) {
    // Connectors ("card0-DP-1") and render nodes are other views of the same device.
    const bool is_card = card.starts_with("card") && card.size() > 4 &&
                         std::all_of(card.begin() + 4, card.end(),
                                     [](unsigned char c) { return std::isdigit(c) != 0; });
    const fs::path device = cards / card / "device";
    if (!is_card || first_line(device / "vendor") != kAmd) continue;
    add_line(facts, "unique_id", card, device / "unique_id");
    add_line(facts, "vbios", card, device / "vbios_version");
    add_line(facts, "compute_partition", card, device / "current_compute_partition");
    add_line(facts, "memory_partition", card, device / "current_memory_partition");
    add_power_cap(facts, card, device);
    add_clock(facts, "sclk_mhz", card, device / "pp_dpm_sclk");
    add_clock(facts, "mclk_mhz", card, device / "pp_dpm_mclk");
    for (const std::string& file : names_in(device / "fw_version")) {
      const std::string name = file.substr(0, file.find("_fw_version"));
      add_line(facts, "firmware." + name, card, device / "fw_version" / file);
    }
  }
  return facts;
}

// "Model: \t\t NVIDIA H100 80GB HBM3"
Facts nvidia_facts(const fs::path& root) {
  constexpr std::pair<const char*, const char*> kLines[] = {{"Model", "model"},
                                                            {"Video BIOS", "vbios"},
                                                            {"GPU Firmware", "firmware"},
                                                            {"GPU UUID", "uuid"}};
  Facts facts;
  const fs::path gpus = root / "proc/driver/nvidia/gpus";
  for (const std::string& gpu : names_in(gpus)) {
    std::ifstream in(gpus / gpu / "information");
    for (std::string line; std::getline(in, line);) {
      const size_t colon = line.find(':');
      const size_t begin = line.find_first_not_of(" \t", colon + 1);
      if (colon == std::string::npos || begin == std::string::npos) continue;
      for (const auto& [key, fact] : kLines)
        if (line.substr(0, colon) == key) facts[fact].emplace_back(gpu, line.substr(begin));
    }
  }
  return facts;
}

std::string by_card(const PerCard& values) {
  const bool same = std::all_of(values.begin(), values.end(), [&](const auto& value) {
    return value.second == values[0].second;
  });
  if (same) return values[0].second;
  std::string out;
  for (const auto& [card, value] : values) out += (out.empty() ? "" : ", ") + card + " " + value;
  return out;
}

void add_facts(const std::string& prefix, const Facts& facts,
               std::map<std::string, std::string>& out) {
  for (const auto& [fact, values] : facts) out[prefix + fact] = by_card(values);
}

}  // namespace

std::vector<std::string> amd_architectures(const fs::path& root) {
  std::vector<std::string> out;
  const fs::path nodes = root / "sys/class/kfd/kfd/topology/nodes";
  for (const std::string& node : names_in(nodes)) {
    std::ifstream in(nodes / node / "properties");
    for (std::string line; std::getline(in, line);) {
      long version = 0;
      if (std::sscanf(line.c_str(), "gfx_target_version %ld", &version) != 1 || version == 0) {
        continue;  // a processor is a node, too
      }
      char name[32];
      std::snprintf(name, sizeof name, "gfx%ld%ld%lx", version / 10000, version / 100 % 100,
                    version % 100);
      out.emplace_back(name);
    }
  }
  return out;
}

std::map<std::string, std::string> gpu_facts(const fs::path& root) {
  std::map<std::string, std::string> out;
  add_facts("gpu.amd.", amd_facts(root), out);
  const std::vector<std::string> architectures = amd_architectures(root);
  if (!architectures.empty()) {
    out["gpu.amd.count"] = std::to_string(architectures.size());
    PerCard values;
    for (size_t i = 0; i < architectures.size(); ++i)
      values.emplace_back("GPU " + std::to_string(i), architectures[i]);
    out["gpu.amd.arch"] = by_card(values);
  }
  const Facts nvidia = nvidia_facts(root);
  add_facts("gpu.nvidia.", nvidia, out);
  if (const auto model = nvidia.find("model"); model != nvidia.end())
    out["gpu.nvidia.count"] = std::to_string(model->second.size());
  return out;
}

}  // namespace greta::runner
