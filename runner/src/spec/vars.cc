#include "spec/vars.h"

#include <algorithm>
#include <set>

#include "contract/text.h"
#include "spec/spec_reader.h"
#include "spec/spec_text.h"

namespace greta::runner {
namespace {

class Substitution {
 public:
  Substitution(const std::map<std::string, std::string>& values, Problems& problems)
      : values_(values), problems_(problems) {
    for (const auto& [name, value] : values) names_.push_back(name);
  }

  void walk(YamlNode& node) {
    if (node.kind == YamlNode::Kind::scalar) node.text = replace(node);
    for (YamlNode& item : node.items) walk(item);
    for (auto& entry : node.entries) walk(entry.value);
  }
  const std::set<std::string>& used() const { return used_; }

 private:
  std::string replace(const YamlNode& node) {
    const std::string& text = node.text;
    std::string out;
    size_t from = 0;
    for (size_t at; (at = text.find("${", from)) != std::string::npos;) {
      const bool escaped = at > from && text[at - 1] == '$';
      out.append(text, from, at - from - (escaped ? 1 : 0));
      if (escaped) {
        out += "${";
        from = at + 2;
        continue;
      }
      const size_t end = text.find('}', at);
      const std::string name = end == std::string::npos ? "" : text.substr(at + 2, end - at - 2);
      if (!is_identifier(name)) {
        problems_.add(node.place, "`${` without a name and `}` (a plain `${` is written `$${`)");
        return text;
      }
      const auto value = values_.find(name);
      if (value == values_.end()) {
        problems_.add(node.place, "variable `" + printable(name) + "` is not declared in `vars`" +
                                      did_you_mean(name, names_));
      } else {
        used_.insert(name);
        out += value->second;
      }
      from = end + 1;
    }
    return out.append(text, from);
  }

  const std::map<std::string, std::string>& values_;
  Problems& problems_;
  std::vector<std::string> names_;
  std::set<std::string> used_;
};

}  // namespace

void apply_vars(YamlNode& root, const std::map<std::string, std::string>& overrides,
                Problems& problems, std::vector<std::string>& warnings) {
  std::map<std::string, std::string> values;
  std::map<std::string, Place> places;
  std::vector<std::string> names;
  if (const YamlNode* vars = root.find("vars")) {
    if (!expect_kind(*vars, YamlNode::Kind::map, "vars", "a map of names to texts", problems))
      return;
    for (const auto& [name, place, value] : vars->entries) {
      if (!is_identifier(name)) {
        problems.add(place, "`" + printable(name) + "` cannot be a variable: letters, digits, `_`");
        continue;
      }
      names.push_back(name);
      places[name] = place;
      if (const auto text = read_text(value, "vars." + name, problems)) values[name] = *text;
    }
  }
  for (const auto& [name, value] : overrides) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      problems.add(root.place, "--var `" + printable(name) + "` is not declared in `vars`" +
                                   did_you_mean(name, names));
    } else if (first_invalid_utf8(value)) {
      problems.add(root.place, "--var `" + name + "` is not UTF-8");
    } else {
      values[name] = value;
    }
  }
  std::erase_if(root.entries, [](const YamlNode::Entry& entry) { return entry.key == "vars"; });
  for (const std::string& name : names) values.try_emplace(name);  // a mistake, said already
  Substitution substitution(values, problems);
  substitution.walk(root);
  for (const std::string& name : names) {
    if (!substitution.used().contains(name)) {
      warnings.push_back(to_string(places[name]) + ": variable `" + name + "` is not used");
    }
  }
}

}  // namespace greta::runner
