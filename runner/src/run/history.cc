#include "run/history.h"

#include <charconv>

#include "contract/text.h"
#include "spec/spec_root.h"
#include "spec/yaml_node.h"
#include "system/files.h"
#include "system/json.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

// A decimal number of YAML's core schema that JSON writes the same way; leading + and bare dots are
// YAML only.
Json plain_scalar(const std::string& text) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const std::string unsigned_text = text.substr(text.find_first_not_of("+-") == 1 ? 1 : 0);
  if (unsigned_text == ".inf" || unsigned_text == ".Inf" || unsigned_text == ".INF")
    return text[0] == '-' ? "-Infinity" : "Infinity";
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return "NaN";
  if (unsigned_text.find_first_not_of("0123456789.eE+-") != std::string::npos ||
      unsigned_text.find_first_of("0123456789") == std::string::npos)
    return text;
  const char* const begin = text.data() + (text[0] == '+' ? 1 : 0);
  const char* const end = text.data() + text.size();
  int64_t whole = 0;
  if (const auto [at, error] = std::from_chars(begin, end, whole);
      at == end && error == std::errc())
    return whole;
  double real = 0;
  const bool is_integer = text.find_first_of(".eE") == std::string::npos;
  if (const auto [at, error] = std::from_chars(begin, end, real);
      !is_integer && at == end && error == std::errc())
    return real;
  return text;  // a date, a hash, an integer beyond 64 bits: exactly as written
}

Json to_json(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return nullptr;
    case YamlNode::Kind::scalar:
      return node.quoted ? Json(node.text) : plain_scalar(node.text);
    case YamlNode::Kind::list: {
      Json out = Json::array();
      for (const YamlNode& item : node.items) out.push_back(to_json(item));
      return out;
    }
    case YamlNode::Kind::map: {
      Json out = Json::object();
      for (const auto& entry : node.entries) out[entry.key] = to_json(entry.value);
      return out;
    }
  }
  return nullptr;
}

Result<YamlNode> parse(std::string_view text, const std::string& file) {
  Problems problems;
  YamlNode node = parse_yaml(text, file, problems);
  if (!problems.empty()) return tl::unexpected(problems.error());
  return node;
}

Error not_a_history(const YamlNode& node, const std::string& file) {
  Error error{.message = "no list of recorded milestones",
              .file = file,
              .line = node.place.line,
              .column = node.place.column};
  if (node.find("milestone") != nullptr)
    error.message += "; a spec is run: greta run " + printable(file);
  return error;
}

std::vector<fs::path> history_files(const fs::path& repo_root) {
  const fs::path folder = repo_root / "experiments" / "history";
  std::error_code error;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// The list of milestones that a history is.
Result<YamlNode> read_history(const fs::path& file) {
  TRY_ASSIGN(const std::string text, read_file(file));
  const std::string shown = shown_path(file);
  TRY_ASSIGN(YamlNode node, parse(text, shown));
  if (node.kind != YamlNode::Kind::list) return tl::unexpected(not_a_history(node, shown));
  for (const YamlNode& entry : node.items) {
    if (entry.find("milestone") == nullptr || entry.find("metrics") == nullptr) {
      return tl::unexpected(Error{.message = "a recorded milestone needs `milestone` and `metrics`",
                                  .file = shown,
                                  .line = entry.place.line,
                                  .column = entry.place.column});
    }
  }
  return node;
}

}  // namespace

Result<std::string> yaml_to_json(std::string_view text, const std::string& file) {
  TRY_ASSIGN(const YamlNode node, parse(text, file));
  return to_json(node).dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::vector<std::string>> import_history(store::Store& store, const fs::path& file) {
  TRY_ASSIGN(const YamlNode node, read_history(file));
  // The file's name, not its path: the same history is the same bundle wherever it lies.
  return store.import_recorded(to_json(node).dump(-1, ' ', false, Json::error_handler_t::replace),
                               file.filename().string());
}

Result<std::vector<std::string>> history_milestones(const fs::path& file) {
  TRY_ASSIGN(const YamlNode node, read_history(file));
  std::vector<std::string> out;
  for (const YamlNode& entry : node.items) out.push_back(entry.find("milestone")->text);
  return out;
}

fs::path find_history(const fs::path& from) {
  std::error_code error;
  const fs::path below = fs::path("experiments") / "history";
  for (fs::path folder = fs::absolute(from, error); !folder.empty();
       folder = folder.parent_path()) {
    if (fs::is_directory(folder / below, error)) return folder / below;
    if (folder == folder.parent_path()) break;
  }
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path tree = find_greta_tree(program.parent_path());
  return tree.empty() ? fs::path() : tree / below;
}

bool is_recorded(std::string_view milestone, const fs::path& repo_root) {
  for (const fs::path& file : history_files(repo_root)) {
    const auto names = history_milestones(file);
    if (names && std::find(names->begin(), names->end(), milestone) != names->end()) return true;
  }
  return false;
}

Result<size_t> import_histories(store::Store& store, const fs::path& repo_root) {
  const std::vector<fs::path> files = history_files(repo_root);
  for (const fs::path& file : files) TRY(import_history(store, file));
  return files.size();
}

Result<store::Selection> select_with_history(store::Store& store, std::string_view selector,
                                             const fs::path& repo_root) {
  auto found = store.select(selector);
  if (found || !selector.ends_with(kRecorded)) return found;
  TRY_ASSIGN(const size_t files, import_histories(store, repo_root));
  found = store.select(selector);
  if (!found && files == 0)
    found.error().message += "; and there is no experiments/history to read them from";
  return found;
}

Result<int64_t> resolve_with_history(store::Store& store, std::string_view selector,
                                     const fs::path& repo_root) {
  TRY_ASSIGN(const store::Selection selection, select_with_history(store, selector, repo_root));
  return selection.run;
}

void say_if_latest(const Context& context, const store::Selection& selection) {
  if (selection.why == store::Selection::Why::latest_recorded) {
    context.say("note: " + selection.milestone +
                " has more than one recorded run; @recorded is the latest, " + selection.name);
  }
  if (selection.why != store::Selection::Why::latest) return;
  context.say("note: " + selection.milestone +
              " has no accepted run; this is its latest complete one, " + selection.name +
              " (greta accept " + selection.name + ")");
}

Result<OpenedRun> open_run(const Context& context, std::string_view selector) {
  const bool may_import = selector.ends_with(kRecorded);
  TRY_ASSIGN(store::Store store,
             context.open_store(may_import ? store::Access::read_write : store::Access::read_only));
  std::error_code error;
  const fs::path history = find_history(fs::current_path(error));
  TRY_ASSIGN(store::Selection selection,
             select_with_history(store, selector, history.parent_path().parent_path()));
  say_if_latest(context, selection);
  return OpenedRun{.store = std::move(store), .selection = std::move(selection)};
}

}  // namespace greta::runner
