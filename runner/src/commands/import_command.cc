// greta import PATH…: recorded milestones, sealed bundles, and what past runs left: reports and
// files.

#include <algorithm>
#include <cstdio>

#include "commands/import_output.h"
#include "contract/text.h"
#include "past/report_facts.h"
#include "run/history.h"
#include "store/diff.h"
#include "system/files.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

struct ImportOptions {
  std::vector<std::string> paths;
  PastOptions past;
  bool dry_run = false;
};

Error import_error(const fs::path& path, std::string message) {
  return Error{.message = std::move(message), .file = path.string()};
}

class Importer {
 public:
  // Without a store nothing is written: what would come in.
  Importer(const ImportOptions& options, std::optional<store::Store> store)
      : options_(options), store_(std::move(store)) {}
  Result<> import(const fs::path& path);
  // Of the arrivals from this one on: what looks too good in their runs.
  Result<> look_for_lints(size_t first);
  const std::vector<Arrival>& arrivals() const { return arrivals_; }

 private:
  Result<> history(const fs::path& file);
  Result<> bundle(const fs::path& folder);
  Result<> report(const fs::path& file);
  Result<> files(const fs::path& path);

  const ImportOptions& options_;
  std::optional<store::Store> store_;
  std::vector<Arrival> arrivals_;
};

Result<> Importer::history(const fs::path& file) {
  Arrival arrival;
  arrival.path = file.string();
  arrival.what = "history";
  if (store_) {
    TRY_ASSIGN(arrival.runs, import_history(*store_, file));
  }
  TRY_ASSIGN(arrival.milestones, history_milestones(file));
  arrivals_.push_back(std::move(arrival));
  return {};
}

Result<> Importer::bundle(const fs::path& folder) {
  Arrival arrival;
  arrival.path = folder.string();
  arrival.what = "bundle";
  TRY_ASSIGN(const std::string manifest, read_file(folder / "manifest.json"));
  TRY(store::manifest_files(manifest));
  const Json json = Json::parse(manifest, nullptr, /*allow_exceptions=*/false);
  const bool named = json.contains("milestone") && json["milestone"].is_string();
  arrival.milestones.push_back(named ? json["milestone"].get<std::string>() : "imported");
  if (store_) {
    TRY_ASSIGN(std::string run, store_->import_bundle(folder));
    arrival.runs.push_back(std::move(run));
  }
  arrivals_.push_back(std::move(arrival));
  return {};
}

Result<> Importer::report(const fs::path& file) {
  TRY_ASSIGN(const std::string text, read_file(file));
  const std::string name = file.filename().string();
  std::error_code error;
  TRY_ASSIGN(PastReport read, read_report(text, fs::absolute(file, error).lexically_normal()));
  if (!options_.past.milestone.empty()) read.milestone = options_.past.milestone;
  if (read.milestone.empty()) {
    return tl::unexpected(import_error(
        file,
        "neither its first heading nor its name says its milestone (B3.21): import it with "
        "--milestone NAME"));
  }
  read.entry["milestone"] = read.milestone;
  Arrival arrival;
  arrival.path = file.string();
  arrival.what = "report";
  arrival.milestones.push_back(read.milestone);
  if (store_) {
    const std::string entry = read.entry.dump(-1, ' ', false, Json::error_handler_t::replace);
    auto run = store_->import_report(entry, name, {{name, text}});
    if (!run) {
      run.error().file = file.string();
      return tl::unexpected(run.error());
    }
    arrival.runs.push_back(std::move(*run));
  }
  arrival.report = std::move(read);
  arrivals_.push_back(std::move(arrival));
  return {};
}

Result<> Importer::files(const fs::path& path) {
  TRY_ASSIGN(PastFolder folder, read_past_folder(path, options_.past));
  for (PastRun& run : folder.runs) {
    Arrival arrival;
    arrival.path = path.string();
    arrival.what = "files";
    arrival.milestones.push_back(run.milestone);
    if (store_) {
      TRY_ASSIGN(std::string name, store_->import_files(run.folder, run.manifest));
      arrival.runs.push_back(std::move(name));
    }
    arrival.files = std::move(run);
    arrivals_.push_back(std::move(arrival));
  }
  for (const fs::path& one : folder.reports) TRY(report(one));
  return {};
}

Result<> Importer::import(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    return tl::unexpected(import_error(path, "there is no such file or folder"));
  const std::string extension = lower(path.extension().string());
  if (!fs::is_directory(status)) {
    if (extension == ".yaml" || extension == ".yml") return history(path);
    if (extension == ".md") return report(path);
    if (path.filename() != "manifest.json") return files(path);
    return bundle(path.has_parent_path() ? path.parent_path() : fs::path("."));
  }
  if (fs::exists(path / "manifest.json", error)) return bundle(path);
  std::vector<fs::path> histories;
  for (const auto& entry : fs::directory_iterator(path, error))
    if (entry.path().extension() == ".yaml") histories.push_back(entry.path());
  if (error) return tl::unexpected(import_error(path, error.message()));
  if (histories.empty()) return files(path);
  std::sort(histories.begin(), histories.end());
  for (const fs::path& file : histories) TRY(history(file));
  return {};
}

Result<> Importer::look_for_lints(size_t first) {
  for (size_t i = first; i < arrivals_.size() && store_; ++i) {
    for (const std::string& run : arrivals_[i].runs) {
      TRY_ASSIGN(const int64_t id, store_->resolve(run));
      TRY_ASSIGN(auto found, store::lints(*store_, id));
      for (store::Lint& lint : found)
        arrivals_[i].lints.push_back({.run = run, .lint = std::move(lint)});
    }
  }
  return {};
}

// As a spec may name it.
Result<> check_milestone(const std::string& name) {
  const bool fits = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
  });
  if (fits && (name.empty() || std::isalnum(static_cast<unsigned char>(name[0])) != 0)) return {};
  return fail(Exit::usage, "--milestone `" + printable(name) +
                               "`: letters, digits, `.`, `_` and `-`, the first a letter or digit");
}

Result<> import_all(Context& context, const ImportOptions& options) {
  TRY(check_milestone(options.past.milestone));
  std::optional<store::Store> store;
  if (!options.dry_run) {
    TRY_ASSIGN(store, context.open_store(store::Access::read_write));
  }
  Importer importer(options, std::move(store));
  for (const std::string& path : options.paths) {
    const size_t before = importer.arrivals().size();
    TRY(importer.import(path));
    // Nobody reads them with -q, and they look at every record.
    if (context.json || context.verbosity > 0) {
      // What came in is in, whatever the checks of it say.
      if (const auto done = importer.look_for_lints(before); !done)
        context.say("note: suspicious results were not looked for: " + done.error().str());
    }
    for (size_t i = before; i < importer.arrivals().size() && !context.json; ++i) {
      const Arrival& arrival = importer.arrivals()[i];
      for (const std::string& line : to_lines(arrival, context.verbosity > 1)) {
        if (options.dry_run) {
          std::printf("%s\n", line.c_str());
        } else {
          context.say(line);
        }
      }
      for (const std::string& run : arrival.runs) std::printf("%s\n", run.c_str());
    }
  }
  if (!context.json) return {};
  Json runs = Json::array(), found = Json::array();
  for (const Arrival& arrival : importer.arrivals()) {
    for (const std::string& run : arrival.runs) runs.push_back(run);
    found.push_back(to_json(arrival));
  }
  const Json out = {{"dry_run", options.dry_run}, {"runs", runs}, {"found", found}};
  std::printf("%s\n", out.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  return {};
}

}  // namespace

void register_import(CLI::App& app, Context& context) {
  CLI::App* const command = app.add_subcommand(
      "import",
      "bring the past into the store: recorded milestones, bundles, reports, loose files");
  const auto options = std::make_shared<ImportOptions>();
  command
      ->add_option(
          "path", options->paths,
          "experiments/history or a history .yaml; a bundle's folder; a milestone's report "
          "(.md); a folder of JSONL and logs as a past run left it, or one such file")
      ->required();
  command->add_option("--milestone", options->past.milestone,
                      "of reports and files whose names do not say it, and over what they say");
  command->add_option("--prompt", options->past.prompt,
                      "of JSONL lines without `prompt_id`, over what the file's name says");
  command->add_option("--kind", options->past.kind,
                      "record kind of JSONL lines without `event`, over what the file's name says");
  command->add_option("--variant", options->past.variant,
                      "arm of the JSONL files, over what their names say");
  command->add_flag("--dry-run", options->dry_run,
                    "print what would come in (files, kinds, prompts, lines); write nothing");
  command->footer(
      "Importing the same thing twice changes nothing. runner/IMPORT.md has the rules by which\n"
      "figures, kinds, prompts and milestones are told.");
  command->callback([&context, options] {
    if (const auto done = import_all(context, *options); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
