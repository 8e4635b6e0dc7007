// greta import PATH…: recorded milestones (YAML) and sealed bundles into the store.

#include <cstdio>
#include <nlohmann/json.hpp>

#include "contract/text.h"
#include "run/history.h"
#include "system/context.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

Error import_error(const fs::path& path, std::string message) {
  return Error{.message = std::move(message), .file = path.string()};
}

Result<std::vector<std::string>> import_folder(store::Store& store, const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder / "manifest.json", error)) {
    TRY_ASSIGN(std::string run, store.import_bundle(folder));
    return std::vector<std::string>{std::move(run)};
  }
  std::vector<fs::path> histories;
  bool has_lines = false;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".yaml") histories.push_back(entry.path());
    has_lines |= entry.path().extension() == ".jsonl";
  }
  if (error) return tl::unexpected(import_error(folder, error.message()));
  if (histories.empty()) {
    return tl::unexpected(import_error(
        folder, has_lines
                    ? "loose JSONL without a manifest.json cannot be imported yet: it does not say "
                      "which run, variant and prompt it belongs to"
                    : "neither a bundle (no manifest.json) nor a folder of recorded milestones "
                      "(no *.yaml)"));
  }
  std::sort(histories.begin(), histories.end());
  std::vector<std::string> runs;
  for (const fs::path& file : histories) {
    TRY_ASSIGN(const std::vector<std::string> more, import_history(store, file));
    runs.insert(runs.end(), more.begin(), more.end());
  }
  return runs;
}

Result<std::vector<std::string>> import_path(store::Store& store, const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    return tl::unexpected(import_error(path, "there is no such file or folder"));
  if (fs::is_directory(status)) return import_folder(store, path);
  const std::string extension = path.extension().string();
  if (extension == ".yaml" || extension == ".yml") return import_history(store, path);
  if (path.filename() == "manifest.json")
    return import_folder(store, path.has_parent_path() ? path.parent_path() : fs::path("."));
  return tl::unexpected(import_error(
      path, "cannot be imported: a history (.yaml) or a bundle's folder can" +
                std::string(extension == ".jsonl" ? "; loose JSONL does not say which run, variant "
                                                    "and prompt it belongs to"
                                                  : "")));
}

Result<> import_all(Context& context, const std::vector<std::string>& paths) {
  TRY_ASSIGN(store::Store store, context.open_store(store::Access::read_write));
  nlohmann::json imported = nlohmann::json::array();
  for (const std::string& path : paths) {
    TRY_ASSIGN(const auto runs, import_path(store, path));
    context.say(printable(path, 200) + ": " + std::to_string(runs.size()) +
                (runs.size() == 1 ? " run" : " runs"));
    for (const std::string& run : runs) imported.push_back(run);
  }
  if (context.json) {
    std::printf("%s\n", nlohmann::json({{"runs", imported}}).dump().c_str());
  } else {
    for (const auto& run : imported) std::printf("%s\n", run.get<std::string>().c_str());
  }
  return {};
}

}  // namespace

void register_import(CLI::App& app, Context& context) {
  CLI::App* const command =
      app.add_subcommand("import", "bring recorded milestones or sealed bundles into the store");
  const auto paths = std::make_shared<std::vector<std::string>>();
  command->add_option("path", *paths, "experiments/history, a history .yaml, or a bundle's folder")
      ->required();
  command->footer("Importing the same thing twice changes nothing.");
  command->callback([&context, paths] {
    if (const auto done = import_all(context, *paths); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
