#include "run/bundle.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "store/store.h"
#include "system/files.h"
#include "system/json.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

// Of folders below out/, and of a path there: far below what a path may have here.
constexpr int kMostFolders = 32;
constexpr size_t kMostNameBytes = 1024;

constexpr auto kReplace = Json::error_handler_t::replace;

// Replaces bare nan and infinities outside of strings by null, so that the rest can be checked.
std::string without_bare_nonfinite(std::string_view line) {
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < line.size();) {
    const char c = line[i];
    if (in_string) {
      out += c;
      if (c == '\\' && i + 1 < line.size()) out += line[++i];
      in_string = c != '"';
      ++i;
      continue;
    }
    in_string = c == '"';
    size_t end = i + ((c == '-' || c == '+') ? 1 : 0);
    while (end < line.size() && std::isalpha(static_cast<unsigned char>(line[end]))) ++end;
    std::string word(line.substr(i, end - i));
    std::transform(word.begin(), word.end(), word.begin(),
                   [](unsigned char l) { return static_cast<char>(std::tolower(l)); });
    if (!word.empty() && (word[0] == '-' || word[0] == '+')) word.erase(0, 1);
    if (word == "nan" || word == "inf" || word == "infinity") {
      out += "null";
      i = end;
    } else {
      out += c;
      ++i;
    }
  }
  return out;
}

bool is_object_line(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t\r");
  return first != std::string_view::npos && line[first] == '{' && Json::accept(line);
}

// Walks the lines of one records file.
class RecordsReader {
 public:
  RecordsReader(std::string shown, Outputs& outputs)
      : shown_(std::move(shown)), outputs_(outputs) {}

  void read(std::string_view text) {
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
    int64_t number = 0;
    while (!text.empty()) {
      ++number;
      const size_t end = text.find('\n');
      const bool whole = end != std::string_view::npos;
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(whole ? end + 1 : text.size());
      take(line, whole, number);
    }
  }

 private:
  void take(std::string_view line, bool whole, int64_t number) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    const std::string place = shown_ + ":" + std::to_string(number) + ": ";
    if (!whole) {  // even if it happens to parse: a number may have lost its last digits
      outputs_.problems.push_back(place + "torn line");
      return;
    }
    if (const auto problem = line_problem(line)) {
      // One bad line may mean thousands; the first of a file says it.
      if (!bad_) outputs_.problems.push_back(place + *problem);
      bad_ = true;
      outputs_.only_torn_tails = false;
      return;
    }
    if (line.find("request_end") != std::string_view::npos) note_end(line);
  }

  void note_end(std::string_view line) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object() || json.value("event", Json()) != "request_end") return;
    const auto request = json.find("request");
    if (request != json.end() && request->is_string()) {
      outputs_.ended_requests.insert(request->get<std::string>());
    }
  }

  std::string shown_;
  Outputs& outputs_;
  bool bad_ = false;
};

// nlohmann refuses to write a text that is no UTF-8, or replaces what is wrong: then it reads back
// as another one.
bool is_utf8(const std::string& text) {
  return Json::parse(Json(text).dump(-1, ' ', false, kReplace), nullptr, false) == Json(text);
}

struct Rule {
  bool matched = false;
  const Adapter::OutputRule* rule = nullptr;
};

Result<BundleFile> inspect_file(const fs::path& bundle, const std::string& name,
                                std::vector<Rule>& rules, Outputs& outputs) {
  TRY_ASSIGN(BundleFile file, describe_file(bundle, name, "output"));
  const std::string below = name.substr(name.find('/') + 1);
  if (below == "effective.json") {
    file.role = "effective";
    TRY_ASSIGN(const std::string text, read_file(bundle / name));
    outputs.has_effective = Json::parse(text, nullptr, false).is_object();
    if (!outputs.has_effective) outputs.problems.push_back(name + ": no JSON object");
    return file;
  }
  for (auto& rule : rules) {
    if (rule.rule->glob == "stdout" || !glob_matches(rule.rule->glob, below)) continue;
    rule.matched = true;
    if (file.role == "records") continue;  // the first rule that matches says the kind
    file.role = "records";
    file.kind = rule.rule->kind;
  }
  if (file.role != "records") return file;
  TRY_ASSIGN(const std::string text, read_file(bundle / name));
  RecordsReader(name, outputs).read(text);
  return file;
}

// An engine may take away its own rights to what it wrote, or give all to everybody; what is kept
// can be read and is no program. A folder is opened before it is entered.
void plain_modes(const fs::path& folder) {
  std::error_code error;
  fs::permissions(folder, fs::perms(0755), error);
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    const fs::file_status state = it->symlink_status(ignored);
    if (fs::is_directory(state)) fs::permissions(it->path(), fs::perms(0755), ignored);
    if (fs::is_regular_file(state)) fs::permissions(it->path(), fs::perms(0644), ignored);
  }
}

Result<std::vector<std::string>> walk_outputs(const fs::path& bundle, Outputs& outputs) {
  std::vector<std::string> names;
  std::vector<fs::path> refused;
  std::error_code error;
  for (fs::recursive_directory_iterator it(bundle / "out", error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().lexically_relative(bundle).string();
    const fs::file_status state = it->symlink_status(error);
    if (error) break;
    if (fs::is_directory(state)) {
      if (it.depth() < kMostFolders && name.size() < kMostNameBytes) continue;
      outputs.problems.push_back(name.substr(0, 60) + "…: folders nested too deeply, removed");
      outputs.only_torn_tails = false;
      refused.push_back(it->path());
      it.disable_recursion_pending();
      continue;
    }
    if (!fs::is_regular_file(state)) {
      outputs.problems.push_back(name + ": not a regular file (a link?), removed");
    } else if (!is_utf8(name)) {
      outputs.problems.push_back("out/: a file name that is no UTF-8, removed");
    } else {
      names.push_back(name);
      continue;
    }
    outputs.only_torn_tails = false;
    refused.push_back(it->path());
  }
  if (error) {
    return fail(Exit::infrastructure,
                "cannot walk " + (bundle / "out").string() + ": " + error.message());
  }
  for (const auto& path : refused) remove_tree(path);
  std::sort(names.begin(), names.end());
  return names;
}

Json to_json(const BundleFile& file) {
  Json json = {
      {"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}, {"role", file.role}};
  if (file.role == "records") json["kind"] = file.kind;
  return json;
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace

std::optional<std::string> line_problem(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (is_object_line(line)) return std::nullopt;
  if (is_object_line(without_bare_nonfinite(line))) return std::nullopt;
  return Json::accept(line) ? "not a JSON object" : "not JSON";
}

bool glob_matches(std::string_view glob, std::string_view path) {
  if (glob.empty()) return path.empty();
  if (glob.starts_with("**")) {
    std::string_view rest = glob.substr(2);
    if (rest.starts_with("/")) rest.remove_prefix(1);  // "**/x" is also "x"
    for (size_t i = 0; i <= path.size(); ++i) {
      if (glob_matches(rest, path.substr(i))) return true;
    }
    return false;
  }
  if (glob[0] == '*') {
    for (size_t i = 0; i <= path.size(); ++i) {
      if (glob_matches(glob.substr(1), path.substr(i))) return true;
      if (i < path.size() && path[i] == '/') return false;
    }
    return false;
  }
  if (path.empty()) return false;
  const bool same = glob[0] == '?' ? path[0] != '/' : glob[0] == path[0];
  return same && glob_matches(glob.substr(1), path.substr(1));
}

Result<BundleFile> describe_file(const fs::path& bundle, const std::string& name,
                                 const std::string& role) {
  BundleFile file{.name = name, .bytes = 0, .sha256 = {}, .role = role, .kind = {}};
  std::error_code error;
  file.bytes = static_cast<int64_t>(fs::file_size(bundle / name, error));
  if (error) {
    return fail(Exit::infrastructure,
                "cannot read " + (bundle / name).string() + ": " + error.message());
  }
  TRY_ASSIGN(file.sha256, store::sha256_file(bundle / name));
  return file;
}

Result<Outputs> inspect_outputs(const fs::path& bundle, const Adapter& adapter) {
  Outputs outputs;
  plain_modes(bundle / "out");
  std::vector<Rule> rules;
  for (const auto& rule : adapter.outputs) rules.push_back({.matched = false, .rule = &rule});
  TRY_ASSIGN(const auto names, walk_outputs(bundle, outputs));
  for (const auto& name : names) {
    TRY_ASSIGN(BundleFile file, inspect_file(bundle, name, rules, outputs));
    outputs.files.push_back(std::move(file));
  }
  for (const auto& rule : rules) {
    if (rule.rule->glob == "stdout") {
      TRY_ASSIGN(BundleFile file, describe_file(bundle, "stdout.log", "records"));
      file.kind = rule.rule->kind;
      TRY_ASSIGN(const std::string text, read_file(bundle / "stdout.log"));
      RecordsReader("stdout.log", outputs).read(text);
      outputs.files.push_back(std::move(file));
    } else if (!rule.matched && !rule.rule->optional) {
      outputs.problems.push_back("no output matches `" + rule.rule->glob + "`");
      outputs.only_torn_tails = false;
    }
  }
  return outputs;
}

std::string to_json(const Manifest& m) {
  Json json;
  json["manifest"] = 1;
  json["provenance"] = m.provenance;
  json["status"] = m.status;
  json["exit_code"] = or_null(m.exit_code);
  json["signal"] = or_null(m.signal);
  json["reason"] = m.reason;
  json["started_at"] = m.started_at;
  json["ended_at"] = m.ended_at;
  json["wall_s"] = m.wall_s;
  json["contract_version"] = m.contract_version;
  json["milestone"] = m.milestone;
  json["executor"] = m.executor;
  json["argv"] = m.argv;
  json["variant"] = m.variant;
  json["variant_axes"] = Json(m.variant_axes);
  json["repeat"] = m.repeat;
  json["cells"] = Json::array();
  for (const auto& cell : m.cells) {
    json["cells"].push_back({{"identity", cell.identity},
                             {"prompt", cell.prompt},
                             {"request", cell.request},
                             {"status", cell.status},
                             {"reason", cell.reason}});
  }
  json["environment"] = Json(m.environment);
  json["flags"] = Json(m.flags);
  json["prompts"] = Json::object();
  for (const auto& prompt : m.prompts) {
    Json& entry = json["prompts"][prompt.id];
    entry["sha256"] = prompt.sha256;
    if (prompt.text) entry["text"] = *prompt.text;
  }
  json["files"] = Json::array();
  for (const auto& file : m.files) json["files"].push_back(to_json(file));
  return json.dump(1, ' ', false, kReplace) + "\n";
}

Result<std::vector<BundleCell>> read_cells(const fs::path& bundle) {
  TRY_ASSIGN(const std::string text, read_file(bundle / "manifest.json"));
  const Json json = Json::parse(text, nullptr, false);
  const auto bad = [&] {
    return fail(Exit::infrastructure, bundle.string() + "/manifest.json is damaged");
  };
  if (!json.is_object() || !json.contains("cells") || !json["cells"].is_array()) return bad();
  std::vector<BundleCell> cells;
  for (const auto& item : json["cells"]) {
    if (!item.is_object()) return bad();
    BundleCell cell;
    for (const auto& [key, target] :
         {std::pair{"identity", &cell.identity}, std::pair{"prompt", &cell.prompt},
          std::pair{"request", &cell.request}, std::pair{"status", &cell.status},
          std::pair{"reason", &cell.reason}}) {
      const auto found = item.find(key);
      if (found == item.end() || !found->is_string()) return bad();
      *target = found->get<std::string>();
    }
    cells.push_back(std::move(cell));
  }
  return cells;
}

Result<fs::path> seal(const fs::path& bundle, const Manifest& manifest, const Layout& layout) {
  const std::string text = to_json(manifest);
  const std::string hash = store::sha256_hex(text);
  TRY(write_file(bundle / "manifest.json", text));
  TRY(sync_tree(bundle));
  const fs::path shelf = layout.bundles() / hash.substr(0, 2);
  TRY(make_durable_folders(shelf));
  const fs::path target = shelf / hash;
  std::error_code error;
  fs::rename(bundle, target, error);
  if (error) {
    return fail(Exit::infrastructure,
                "cannot keep the attempt as " + target.string() + ": " + error.message());
  }
  TRY(sync_path(shelf));
  return target;
}

}  // namespace greta::runner
