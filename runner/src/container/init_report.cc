#include "container/init_report.h"

#include <csignal>
#include <sstream>

#include "system/files.h"

namespace greta::runner {
namespace fs = std::filesystem;

InitReport read_init_report(const fs::path& file) {
  InitReport report;
  const auto text = read_file(file);
  if (!text) return report;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word == "started") {
      report.started = true;
    } else if (word == "strays" && words >> report.strays) {
      continue;
    } else if (word == "exit" && words >> report.exit_code) {
      report.ended = true;
    } else if (word == "signal" && words >> report.signal) {
      report.ended = true;
    } else if (word == "refused" && words >> report.refused) {
      report.ended = true;
    } else if (word == "limit" && words >> report.limit) {
      report.ended = true;
      report.signal = SIGKILL;
    }
  }
  return report;
}

Result<fs::path> find_init() {
  std::error_code error;
  const fs::path init = fs::read_symlink("/proc/self/exe", error).parent_path() / "greta-init";
  if (error || !fs::exists(init, error)) {
    return fail(Exit::infrastructure,
                "no " + init.string() + ": it is built with greta and belongs beside it");
  }
  return init;
}

std::vector<std::string> init_argv(const std::string& init, const std::string& report,
                                   InitMode mode, const std::vector<std::string>& argv) {
  std::vector<std::string> out = {init, "--report", report};
  if (mode != InitMode::host) out.push_back("--contained");
  if (mode == InitMode::contained_without_sockets) out.push_back("--no-sockets");
  out.push_back("--");
  out.insert(out.end(), argv.begin(), argv.end());
  return out;
}

}  // namespace greta::runner
