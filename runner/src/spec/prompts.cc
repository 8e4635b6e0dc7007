#include "spec/prompts.h"

#include <nlohmann/json.hpp>

#include "contract/text.h"
#include "spec/spec_reader.h"
#include "spec/spec_text.h"
#include "store/store.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMostPromptBytes = size_t{16} << 20;
constexpr int64_t kMostTokenId = INT32_MAX;

void read_file_text(const YamlNode& node, const std::string& path, Prompt& prompt,
                    Problems& problems) {
  const auto name = read_text_not_empty(node, path, problems);
  if (!name) return;
  const fs::path file = fs::path(node.place.file).parent_path() / *name;  // absolute names stay
  auto text = read_text_file(file, file.lexically_normal().string(), kMostPromptBytes);
  if (!text) {
    problems.add(node.place, "`" + path + "`: " + text.error().str());
  } else if (first_invalid_utf8(*text)) {
    problems.add(node.place, "`" + path + "`: " + printable(*name) +
                                 " is not UTF-8; give its bytes as `tokens`");
  } else {
    prompt.text = std::move(*text);
  }
}

void read_tokens(const YamlNode& node, const std::string& path, Prompt& prompt,
                 Problems& problems) {
  if (!expect_kind(node, YamlNode::Kind::list, path, "a list of token ids", problems)) return;
  std::vector<int64_t> ids;
  for (size_t i = 0; i < node.items.size(); ++i) {
    const std::string item = path + "[" + std::to_string(i) + "]";
    if (const auto id = read_whole(node.items[i], item, 0, kMostTokenId, problems))
      ids.push_back(*id);
  }
  if (node.items.empty()) problems.add(node.place, "`" + path + "` is empty");
  prompt.tokens = std::move(ids);
}

// Both slips have cost real weeks: the path of a file taken for its text, and "\n" as two letters.
void warn_about_text(const Prompt& prompt, bool literal_escapes, const PromptFolders& folders,
                     std::vector<std::string>& warnings) {
  const std::string& text = *prompt.text;
  const std::string where = to_string(prompt.place) + ": prompt `" + prompt.id + "` ";
  const size_t escape = text.find('\\');
  if (!literal_escapes && escape != std::string::npos && escape + 1 < text.size() &&
      std::string_view("nrt").find(text[escape + 1]) != std::string_view::npos) {
    warnings.push_back(where + "holds a backslash and the letter `" + text[escape + 1] +
                       "`, not a control character (for one use \"double quotes\" or a | block; if "
                       "it is meant, say `literal_escapes: true`)");
  }
  if (text.empty() || text.size() > 1000 || text.find_first_of("\n\r") != std::string::npos) return;
  for (const fs::path& folder : {folders.spec, folders.root}) {
    std::error_code ec;
    if (fs::is_regular_file(folder / text, ec)) {
      warnings.push_back(where + "is the text `" + printable(text) +
                         "`, which is also the name of a file (for its content use `file:`)");
      return;
    }
  }
}

// One entry {id, text | file | tokens}, of the spec or of a library.
Prompt read_prompt(const YamlNode& node, const std::string& name, const PromptFolders& folders,
                   Problems& problems, std::vector<std::string>& warnings) {
  Prompt prompt;
  prompt.place = node.place;
  const size_t before = problems.size();
  MapReader map(node, name, "prompt", problems);
  if (!map.valid()) return prompt;
  if (const YamlNode* id = map.get("id")) {
    prompt.id = read_name(*id, map.path("id"), problems).value_or("");
  } else if (node.find("id") == nullptr) {
    problems.add(node.place, "missing key `id` in `" + name + "`");
  }
  bool literal_escapes = false;
  if (const YamlNode* value = map.get("literal_escapes")) {
    literal_escapes = read_boolean(*value, map.path("literal_escapes"), problems).value_or(false);
  }
  if (const YamlNode* note = map.get("note")) read_text(*note, map.path("note"), problems);
  int forms = 0;
  if (const YamlNode* text = map.get("text"); node.find("text") != nullptr) {
    ++forms;
    if (text != nullptr) prompt.text = read_text(*text, map.path("text"), problems);
  }
  if (const YamlNode* file = map.get("file"); node.find("file") != nullptr) {
    ++forms;
    if (file != nullptr) read_file_text(*file, map.path("file"), prompt, problems);
  }
  if (const YamlNode* tokens = map.get("tokens"); node.find("tokens") != nullptr) {
    ++forms;
    if (tokens != nullptr) read_tokens(*tokens, map.path("tokens"), prompt, problems);
  }
  if (forms != 1 && !(forms == 0 && map.has_unknown_keys())) {
    problems.add(node.place, "`" + name + "` needs exactly one of `text`, `file` and `tokens`");
  }
  if (problems.size() > before) return prompt;
  if (prompt.text) warn_about_text(prompt, literal_escapes, folders, warnings);
  hash_prompt(prompt);
  return prompt;
}

}  // namespace

void hash_prompt(Prompt& prompt) {
  prompt.sha256 =
      store::sha256_hex(prompt.text ? *prompt.text : nlohmann::json(*prompt.tokens).dump());
}

void PromptLibrary::load() {
  if (loaded_) return;
  loaded_ = true;
  const size_t before = problems_.size();
  for (const File& file : files_) {
    std::error_code ec;
    if (!fs::exists(file.path, ec)) continue;
    const auto text = read_text_file(file.path, file.shown, kMostYamlBytes);
    if (!text) {
      problems_.add(text.error());
      continue;
    }
    YamlNode root = parse_yaml(*text, file.shown, problems_);
    if (root.kind == YamlNode::Kind::null) continue;
    MapReader map(root, "", "prompts file", problems_);
    if (!map.valid()) continue;
    if (const YamlNode* schema = map.get("schema")) {
      read_whole(*schema, "schema", 1, 1, problems_);
    } else {
      problems_.add(root.place, "missing key `schema` (this greta reads `schema: 1`)");
    }
    const YamlNode* prompts = map.get("prompts");
    if (prompts == nullptr) continue;
    if (!expect_kind(*prompts, YamlNode::Kind::list, "prompts", "a list", problems_)) continue;
    std::map<std::string, int> lines;
    for (const YamlNode& item : prompts->items) {
      const YamlNode* id = item.find("id");
      if (id == nullptr || id->kind != YamlNode::Kind::scalar) {
        problems_.add(item.place, "a prompt needs an `id`");
        continue;
      }
      const auto [first, is_new] = lines.emplace(id->text, id->place.line);
      if (!is_new) {
        problems_.add(id->place, "prompt `" + printable(id->text) +
                                     "` is given twice (first at line " +
                                     std::to_string(first->second) + ")");
      }
      entries_.try_emplace(id->text, item);
    }
  }
  failed_ = problems_.size() > before;
}

const YamlNode* PromptLibrary::find(const std::string& id) {
  load();
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

std::vector<std::string> PromptLibrary::ids() {
  load();
  std::vector<std::string> out;
  for (const auto& [id, node] : entries_) out.push_back(id);
  return out;
}

bool PromptLibrary::failed() {
  load();
  return failed_;
}

std::string PromptLibrary::places() const {
  std::string out;
  for (const File& file : files_) {
    std::error_code ec;
    if (fs::exists(file.path, ec)) out += (out.empty() ? "" : ", ") + file.shown;
  }
  return out.empty() ? "no prompts.yaml was found" : "looked in " + out;
}

std::vector<Prompt> read_prompts(const YamlNode& list, PromptLibrary& library,
                                 const PromptFolders& folders, Problems& problems,
                                 std::vector<std::string>& warnings) {
  std::vector<Prompt> prompts;
  if (!expect_kind(list, YamlNode::Kind::list, "prompts",
                   "a list of ids or {id, text | file | tokens}", problems)) {
    return prompts;
  }
  if (list.items.empty()) problems.add(list.place, "`prompts` is empty: nothing would run");
  std::map<std::string, int> lines;
  std::map<std::string, std::string> by_hash;
  for (size_t i = 0; i < list.items.size(); ++i) {
    const YamlNode& item = list.items[i];
    const std::string name = "prompts[" + std::to_string(i) + "]";
    const YamlNode* node = &item;
    if (item.kind == YamlNode::Kind::scalar) {
      node = library.find(item.text);
      if (node == nullptr && !library.failed()) {
        problems.add(item.place, "unknown prompt `" + printable(item.text) + "`" +
                                     did_you_mean(item.text, library.ids()) + "; " +
                                     library.places());
      }
      if (node == nullptr) continue;
    }
    Prompt prompt =
        read_prompt(*node, node == &item ? name : item.text, folders, problems, warnings);
    prompt.place = item.place;
    if (prompt.id.empty()) continue;
    const auto [first, is_new] = lines.emplace(prompt.id, item.place.line);
    if (!is_new) {
      problems.add(item.place, "prompt `" + prompt.id + "` is given twice (first at line " +
                                   std::to_string(first->second) + ")");
      continue;
    }
    const std::string content = (prompt.text ? "text " : "tokens ") + prompt.sha256;
    const auto [same, is_other] = by_hash.emplace(content, prompt.id);
    if (!is_other && !prompt.sha256.empty()) {
      warnings.push_back(to_string(item.place) + ": prompts `" + same->second + "` and `" +
                         prompt.id + "` hold the same " + (prompt.text ? "bytes" : "tokens"));
    }
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

Result<std::vector<Prompt>> load_prompts_file(const fs::path& file, const std::string& shown,
                                              std::vector<std::string>& warnings) {
  Problems problems;
  PromptLibrary library({{file, shown}}, problems);
  const fs::path folder = fs::path(shown).parent_path();
  std::vector<Prompt> prompts;
  for (const std::string& id : library.ids()) {
    prompts.push_back(
        read_prompt(*library.find(id), "prompt " + id, {folder, folder}, problems, warnings));
  }
  if (!problems.empty()) return tl::unexpected(problems.error());
  return prompts;
}

}  // namespace greta::runner
