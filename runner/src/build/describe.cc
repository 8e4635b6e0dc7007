#include "build/describe.h"

#include "contract/schema.h"
#include "store/store.h"
#include "system/environment.h"
#include "system/files.h"
#include "system/json.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr double kDescribeTimeout_s = 60;

Result<std::string> ask_description(const Executor& executor, const Engine& engine,
                                    const Devices& devices, const Layout& layout,
                                    const Cancel& cancel) {
  TRY_ASSIGN(const fs::path folder, make_temporary(layout));
  struct Cleaner {
    fs::path folder;
    ~Cleaner() { remove_tree(folder); }
  } cleaner{folder};
  TRY(make_folders(folder / "work"));
  Job job;
  job.purpose = "describe";
  job.argv = {engine.placed(executor, job), "describe", "--json"};
  static_cast<void>(place(executor, folder / "work", "/greta/out", true, job));
  job.workdir = folder / "work";
  job.stdout_file = folder / "out";
  job.stderr_file = folder / "err";
  job.timeout_s = kDescribeTimeout_s;
  job.memory_bytes = int64_t{4} << 30;
  job.pids = 256;
  job.no_sockets = true;
  job.again = [](const std::string&) { return Result<>(); };
  job.devices = devices;
  TRY_ASSIGN(const Finished finished, run_job(executor, job, cancel));
  if (finished.stop == Stop::cancelled) return fail(Exit::interrupted, "interrupted");
  if (!finished.ok()) {
    return fail(Exit::infrastructure, "`" + engine.shown() + " describe --json` failed (" +
                                          how_it_ended(finished) +
                                          "): " + log_tail(folder / "err", 600));
  }
  TRY_ASSIGN(const std::string text, read_file(folder / "out"));
  if (!SortedJson::parse(text, nullptr, false).is_object()) {
    return fail(Exit::infrastructure, "`" + engine.shown() +
                                          " describe --json` printed no JSON object; an engine "
                                          "with another command line needs `engine.adapter`");
  }
  return text;
}

}  // namespace

Result<> describe_engine(const Executor& executor, const Machine& machine, const Devices& devices,
                         const Layout& layout, Engine& engine, const Cancel& cancel) {
  const std::string key =
      store::sha256_hex(engine.binary_sha256 + engine.program + "|" + executor.version() + "|" +
                        executor.image + "|" + machine.cpu + "|" + machine.kernel + "|" +
                        machine.amd_card + "|" + std::to_string(static_cast<int>(devices.route)));
  const fs::path known = cache_folder() / "describe" / (key.substr(0, 32) + ".json");
  auto text = read_file(known);
  if (!text) {
    TRY_ASSIGN(text, ask_description(executor, engine, devices, layout, cancel));
    TRY(make_folders(known.parent_path()));
    TRY(write_file(known, *text));
  }
  engine.describe_json = *text;
  const SortedJson json = SortedJson::parse(engine.describe_json, nullptr, false);
  if (!json.is_object()) return {};
  const auto version = json.find("contract_version");
  const int understood = builtin_schema().version;
  if (version == json.end() || *version != understood) {
    return fail(Exit::usage, "`" + engine.shown() + " describe --json` says `contract_version` " +
                                 (version == json.end() ? "nothing" : version->dump()) +
                                 "; this greta knows " + std::to_string(understood) +
                                 " (engine/ENGINE.md)");
  }
  engine.contract_version = understood;
  return {};
}

}  // namespace greta::runner
