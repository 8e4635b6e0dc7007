#include "past/past_folder.h"

#include <algorithm>
#include <map>
#include <set>

#include "contract/text.h"
#include "past/past_names.h"
#include "past/report_reader.h"
#include "spec/spec_text.h"
#include "system/files.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr std::uintmax_t kConfigMost = 1 << 20;
constexpr std::uintmax_t kReportFileMost = 16 << 20;

Error past_error(const fs::path& path, std::string message) {
  return Error{.message = std::move(message), .file = path.string()};
}

// Regular files below the folder, sorted. What is none, and no folder, is refused by name.
Result<std::vector<fs::path>> files_below(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  auto entry = fs::recursive_directory_iterator(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const fs::file_type type = entry->symlink_status(error).type();
    if (type == fs::file_type::directory) continue;
    if (type == fs::file_type::symlink) {
      return tl::unexpected(past_error(entry->path(),
                                       "a link: what it leads to is not of this run; "
                                       "copy the file here, or remove the link"));
    }
    if (type != fs::file_type::regular)
      return tl::unexpected(past_error(entry->path(), "neither a file nor a folder"));
    out.push_back(entry->path());
  }
  if (error) return tl::unexpected(past_error(folder, error.message()));
  std::sort(out.begin(), out.end());
  return out;
}

// Whether a part of a path is a folder of a milestone: b3_21, B3.6_rerun.
bool is_milestone_folder(const std::string& part) {
  return milestone_in(part).size() > 0 && (part[0] == 'b' || part[0] == 'B');
}

struct RunPlace {
  fs::path folder;        // of the run
  std::string milestone;  // "" when nothing says
};

// The outermost folder of a milestone at or below `root`, else the nearest above it; without one
// the file's own folder and name.
RunPlace place_of(const fs::path& file, const fs::path& root, const PastOptions& options) {
  if (!options.milestone.empty()) return {root, options.milestone};
  const auto depth_of_root = std::distance(root.begin(), root.end());
  RunPlace found;
  fs::path at;
  std::ptrdiff_t depth = 0;
  for (const fs::path& part : file.parent_path()) {
    at /= part;
    const bool below = ++depth >= depth_of_root;
    if (!is_milestone_folder(part.string())) continue;
    found = {at, milestone_in(part.string())};
    if (below) break;
  }
  if (!found.milestone.empty()) return found;
  return {file.parent_path(), milestone_in(file.filename().string())};
}

std::string role_of(const fs::path& file) {
  const std::string extension = plain_name(file.extension().string());
  if (extension == "jsonl" || extension == "ndjson") return "records";
  if (extension == "log" || extension == "out" || extension == "err") return "log";
  if (extension == "md") return "report";
  if (extension == "json" || extension == "env" || file.filename() == ".env") return "config";
  return "output";
}

void say_of_file(PastRun& run, const std::string& key, const Json& value) {
  const std::string text = value.is_string()
                               ? value.get<std::string>()
                               : value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (key.starts_with("GRETA_")) {
    run.flags.emplace(key, text);
  } else if (!value.is_structured() && !value.is_null()) {
    run.environment.emplace(key, text);
  }
}

// What a config.json, metadata.json or an .env file says of its run.
void read_config(PastRun& run, const PastFile& file, std::string_view text) {
  if (!plain_name(file.name).ends_with("json")) {
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      const auto [name, value] = flag_in(text.substr(at, end - at));
      if (!name.empty()) run.flags.emplace(name, value);
      at = end + 1;
    }
    return;
  }
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return;
  for (const auto& [key, value] : json.items()) {
    if ((key == "flags" || key == "env" || key == "environment") && value.is_object()) {
      for (const auto& [name, one] : value.items()) say_of_file(run, name, one);
      continue;
    }
    const bool is_commit = key == "commit" || key == "git_commit" || key == "git_sha";
    const bool is_model = key == "model" || key == "model_path" || key == "model_file";
    say_of_file(run, is_commit ? "commit" : is_model ? "model.file" : key, value);
  }
}

std::string request_name(const std::string& variant, const std::string& prompt) {
  if (variant == "default") return prompt.empty() ? "all" : prompt;
  return prompt.empty() ? variant : variant + "/" + prompt;
}

void make_manifest(PastRun& run) {
  Json cells = Json::array(), files = Json::array(), prompts = Json::object();
  std::set<std::string> requests;
  const auto add_cell = [&](const std::string& variant, const std::string& prompt) {
    const std::string request = request_name(variant, prompt);
    if (!prompt.empty()) prompts[prompt] = Json::object();
    if (!requests.insert(request).second) return;
    Json axes = Json::object();
    if (variant != "default") axes["variant"] = variant;
    cells.push_back({{"identity", ""},
                     {"variant", variant},
                     {"variant_axes", axes},
                     {"prompt", prompt},
                     {"request", request},
                     {"status", "ok"},
                     {"reason", ""}});
  };
  for (const PastFile& file : run.files) {
    Json entry = {{"name", file.name},
                  {"bytes", file.survey.bytes},
                  {"sha256", file.survey.sha256},
                  {"role", file.role},
                  {"kind", file.kind}};
    if (file.role == "records") {
      Json of_prompt = Json::object();
      for (const auto& [prompt, lines] : file.survey.prompts) {
        if (prompt.empty()) continue;
        of_prompt[prompt] = request_name(file.variant, prompt);
        add_cell(file.variant, prompt);
      }
      if (file.survey.prompts.empty() || file.survey.prompts.contains(""))
        add_cell(file.variant, file.prompt);
      entry["request"] = request_name(file.variant, file.prompt);
      entry["request_of_prompt"] = of_prompt;
    }
    files.push_back(std::move(entry));
  }
  if (cells.empty()) add_cell("default", "");  // logs and reports alone are a run too
  const std::string when = run.date.empty() ? "" : run.date + "T00:00:00.000Z";
  const Json manifest = {{"manifest", 1},
                         {"provenance", "recorded"},
                         {"status", "ok"},
                         {"reason", ""},
                         {"started_at", when},
                         {"ended_at", when},
                         {"milestone", run.milestone},
                         {"executor", "files"},
                         {"argv", Json::array()},
                         {"variant", "default"},
                         {"variant_axes", Json::object()},
                         {"repeat", 0},
                         {"cells", cells},
                         {"environment", run.environment},
                         {"flags", run.flags},
                         {"prompts", prompts},
                         {"files", files}};
  run.manifest = manifest.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// A prompt that a name gives as p4 is the p4_… that other files of the run name in full.
void full_prompt_names(PastRun& run) {
  std::set<std::string> full;
  for (const PastFile& file : run.files)
    for (const auto& [prompt, lines] : file.survey.prompts) full.insert(prompt);
  for (PastFile& file : run.files) {
    std::vector<std::string> longer;
    for (const std::string& id : full)
      if (!file.prompt.empty() && id.starts_with(file.prompt + "_")) longer.push_back(id);
    if (longer.size() == 1) file.prompt = longer[0];
  }
}

std::string in_ascii(const std::string& name) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

Result<> read_file_of_run(PastRun& run, const fs::path& path, const PastOptions& options) {
  PastFile file;
  file.name = path.lexically_relative(run.folder).generic_string();
  if (first_invalid_utf8(file.name)) {
    return tl::unexpected(past_error(
        in_ascii(path.string()),
        "the name has bytes that are no UTF-8, and no bundle can list it: rename the file"));
  }
  file.role = role_of(path);
  file.variant = "default";
  if (file.role == "records") {
    const FileNameParts parts = file_name_parts(path.filename().string());
    file.prompt = options.prompt.empty() ? parts.prompt : options.prompt;
    file.kind = options.kind.empty() ? parts.kind : options.kind;
    file.kind_is_guess = options.kind.empty() && parts.is_guess;
    if (!parts.variant.empty()) file.variant = parts.variant;
    if (!options.variant.empty()) file.variant = options.variant;
    if (file.kind.empty()) file.kind = "unnamed";
  }
  TRY_ASSIGN(file.survey, store::survey_file(run.folder, file.name, file.role == "records"));
  if (file.role == "config" && file.survey.bytes <= static_cast<int64_t>(kConfigMost)) {
    TRY_ASSIGN(const std::string text, read_file(path));
    read_config(run, file, text);
  }
  run.files.push_back(std::move(file));
  return {};
}

// Whether a Markdown file is a report of a milestone with figures; other pages are files like
// others.
bool is_report(const fs::path& path) {
  std::error_code error;
  if (role_of(path) != "report" || fs::file_size(path, error) > kReportFileMost || error)
    return false;
  const auto text = read_file(path);
  if (!text) return false;
  const auto report = read_report(*text, path);
  return report && !report->milestone.empty() && report->figures > 0;
}

}  // namespace

Result<PastFolder> read_past_folder(const fs::path& given, const PastOptions& options) {
  std::error_code error;
  const fs::path path = fs::absolute(given, error).lexically_normal();
  const bool is_folder = fs::is_directory(path, error);
  std::vector<fs::path> files = {path};
  if (is_folder) {
    TRY_ASSIGN(files, files_below(path));
  } else if (!fs::is_regular_file(fs::symlink_status(path, error))) {
    return tl::unexpected(past_error(given, "a link or a special file; give the file itself"));
  }
  if (files.empty()) return tl::unexpected(past_error(given, "a folder without a file"));
  const fs::path root = is_folder ? path : path.parent_path();

  PastFolder out;
  std::map<std::pair<fs::path, std::string>, std::vector<fs::path>> groups;
  for (const fs::path& file : files) {
    if (is_folder && is_report(file)) {
      out.reports.push_back(file);
      continue;
    }
    const RunPlace place = place_of(file, root, options);
    if (place.milestone.empty()) {
      return tl::unexpected(past_error(
          file,
          "neither a folder nor the file's name says its milestone (b3_21, B3.21): import it "
          "with --milestone NAME"));
    }
    groups[{place.folder, place.milestone}].push_back(file);
  }
  for (const auto& [place, members] : groups) {
    PastRun run;
    run.folder = place.first;
    run.milestone = place.second;
    // The folder of the day lies around the milestone's; without one, below it.
    run.date = date_in(run.folder.string());
    for (const fs::path& file : members) {
      if (run.date.empty()) run.date = date_in(file.string());
      TRY(read_file_of_run(run, file, options));
    }
    full_prompt_names(run);
    make_manifest(run);
    out.runs.push_back(std::move(run));
  }
  return out;
}

}  // namespace greta::runner
