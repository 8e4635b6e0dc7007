#include "spec/spec_extends.h"

#include <algorithm>
#include <vector>

#include "contract/text.h"
#include "spec/spec_reader.h"
#include "spec/spec_text.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMostFiles = 64;

class Loader {
 public:
  explicit Loader(Problems& problems) : problems_(problems) {}
  bool complete() const { return complete_; }

  YamlNode load(const fs::path& file, const Place& from, const std::string& shown,
                std::string* text_out) {
    std::error_code ec;
    const fs::path identity = fs::weakly_canonical(file, ec);
    if (std::find(chain_.begin(), chain_.end(), identity) != chain_.end()) {
      return stop({.message = "`extends` goes in a circle: this file is reached again"}, from);
    }
    if (files_++ >= kMostFiles) {
      return stop(
          {.message = "`extends` leads to more than " + std::to_string(kMostFiles) + " files"},
          from);
    }
    const auto text = read_text_file(file, shown, kMostYamlBytes);
    if (!text) return stop(from.line == 0 ? text.error() : at(from, text.error()), from);
    if (text_out != nullptr) *text_out = *text;
    return load_text(*text, file, identity, shown, kMostYamlBytes);
  }

  YamlNode load_text(const std::string& text, const fs::path& file, const fs::path& identity,
                     const std::string& shown, size_t most_bytes) {
    YamlNode own = parse_yaml(text, shown, problems_, most_bytes);
    if (own.kind != YamlNode::Kind::map) {
      complete_ = false;
      if (own.kind != YamlNode::Kind::null) {
        problems_.add(own.place, "the file must be a map of keys, got " + describe(own));
      }
      return {};
    }
    chain_.push_back(identity);
    YamlNode base = bases(own, file, shown);  // before `extends` is taken out
    YamlNode merged = merge_nodes(std::move(base), check_schema(std::move(own)));
    chain_.pop_back();
    return merged;
  }

 private:
  // A base that cannot be read is a mistake of the line that names it.
  static Error at(const Place& place, const Error& error) {
    return {.message = "`extends`: " + error.str(),
            .file = place.file,
            .line = place.line,
            .column = place.column};
  }

  YamlNode stop(const Error& error, const Place& from) {
    complete_ = false;
    if (error.file.empty()) {
      problems_.add(from, error.message);
    } else {
      problems_.add(error);
    }
    return {};
  }

  YamlNode bases(const YamlNode& own, const fs::path& file, const std::string& shown) {
    YamlNode merged;
    const YamlNode* extends = own.find("extends");
    if (extends == nullptr) return merged;
    std::vector<const YamlNode*> names;
    if (extends->kind == YamlNode::Kind::list) {
      for (const YamlNode& item : extends->items) names.push_back(&item);
    } else {
      names.push_back(extends);
    }
    for (const YamlNode* name : names) {
      const auto base = read_text_not_empty(*name, "extends", problems_);
      if (!base) continue;
      if (base->find("${") != std::string::npos) {
        problems_.add(name->place, "`extends` cannot use variables: files are merged before them");
        continue;
      }
      const std::string base_shown = (fs::path(shown).parent_path() / *base).lexically_normal();
      merged = merge_nodes(std::move(merged),
                           load(file.parent_path() / *base, name->place, base_shown, nullptr));
    }
    return merged;
  }

  YamlNode check_schema(YamlNode own) {
    const YamlNode* schema = own.find("schema");
    if (schema == nullptr) {
      problems_.add(own.place, "missing key `schema` (this greta reads `schema: 1`)");
    } else if (const auto version = read_whole(*schema, "schema", 1, INT32_MAX, problems_);
               version && *version != 1) {
      problems_.add(schema->place,
                    "`schema` " + schema->text + " is not known to this greta, which reads 1");
    }
    std::erase_if(own.entries, [](const YamlNode::Entry& entry) {
      return entry.key == "schema" || entry.key == "extends";
    });
    return own;
  }

  Problems& problems_;
  std::vector<fs::path> chain_;  // of the files being read
  size_t files_ = 0;
  bool complete_ = true;
};

}  // namespace

YamlNode merge_nodes(YamlNode base, YamlNode over) {
  if (base.kind != YamlNode::Kind::map || over.kind != YamlNode::Kind::map) {
    return over.kind == YamlNode::Kind::null && over.place.line == 0 ? base : over;
  }
  for (auto& entry : over.entries) {
    const auto known = std::find_if(base.entries.begin(), base.entries.end(),
                                    [&](const YamlNode::Entry& e) { return e.key == entry.key; });
    if (known == base.entries.end()) {
      base.entries.push_back(std::move(entry));
    } else if (entry.value.kind == YamlNode::Kind::null) {
      base.entries.erase(known);
    } else {
      known->place = entry.place;
      known->value = merge_nodes(std::move(known->value), std::move(entry.value));
    }
  }
  base.place = over.place;
  return base;
}

SpecTree load_spec_tree(const fs::path& file, const std::string& shown,
                        const std::optional<std::string>& text, Problems& problems) {
  SpecTree tree;
  Loader loader(problems);
  if (text) {
    tree.text = *text;
    // Prompts from files of their own stand in it, whole.
    tree.root = loader.load_text(*text, file, file, shown, kMostYamlBytes * 256);
  } else {
    tree.root = loader.load(file, {shown, 0, 0}, shown, &tree.text);
  }
  tree.complete = loader.complete();
  return tree;
}

}  // namespace greta::runner
