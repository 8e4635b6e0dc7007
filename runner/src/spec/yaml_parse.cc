// The only file that meets yaml-cpp. It listens to the parser's events rather than to its nodes:
// those keep only one of two equal keys and expand aliases without a limit.

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <unordered_map>

#include "contract/text.h"
#include "spec/spec_text.h"
#include "spec/yaml_node.h"

namespace greta::runner {
namespace {

// Stops the parse at a mistake after which nothing sensible can follow.
struct Stop {
  Place place;
  std::string message;
};

// Line and byte column of yaml-cpp (from 0) to what an editor shows (from 1, characters).
class Source {
 public:
  Source(std::string_view text, const std::string& file) : text_(text), file_(file) {
    line_starts_.push_back(0);
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') line_starts_.push_back(i + 1);
    }
  }

  size_t offset(const YAML::Mark& mark) const {
    if (mark.line < 0) return 0;
    const auto line = std::min(static_cast<size_t>(mark.line), line_starts_.size() - 1);
    return std::min(line_starts_[line] + static_cast<size_t>(std::max(mark.column, 0)),
                    text_.size());
  }

  Place place(size_t at) const {
    const auto next = std::upper_bound(line_starts_.begin(), line_starts_.end(), at);
    const auto line = static_cast<size_t>(next - line_starts_.begin());
    // Marks mostly ascend: counting on from the last one keeps a file of one long line linear.
    if (line != last_line_) {
      last_line_ = line;
      last_at_ = line_starts_[line - 1];
      last_column_ = 1;
    }
    const auto starts_character = [&](size_t i) {
      return (static_cast<unsigned char>(text_[i]) & 0xc0) != 0x80;
    };
    for (; last_at_ < at; ++last_at_) last_column_ += starts_character(last_at_) ? 1 : 0;
    for (; last_at_ > at; --last_at_) last_column_ -= starts_character(last_at_ - 1) ? 1 : 0;
    return {file_, static_cast<int>(line), last_column_};
  }
  Place place(const YAML::Mark& mark) const { return place(offset(mark)); }

  // yaml-cpp takes the end of the file for the end of a quoted scalar.
  bool quote_is_closed(size_t open) const {
    const char quote = text_[open];
    for (size_t i = open + 1; i < text_.size(); ++i) {
      if (quote == '"' && text_[i] == '\\') {
        ++i;
      } else if (text_[i] == quote) {
        if (quote == '"' || i + 1 >= text_.size() || text_[i + 1] != '\'') return true;
        ++i;  // '' inside single quotes
      }
    }
    return false;
  }

  bool indented_by_tab(const YAML::Mark& mark) const {
    size_t at = offset(mark);
    at = at == 0 ? 0 : text_.rfind('\n', at - 1) + 1;  // npos + 1 is 0: the first line
    const size_t end = text_.find_first_not_of(" \t", at);
    return text_.substr(at, end == text_.npos ? 0 : end - at).find('\t') != text_.npos;
  }

  char at(size_t offset) const { return offset < text_.size() ? text_[offset] : '\0'; }

 private:
  std::string_view text_;
  const std::string& file_;
  std::vector<size_t> line_starts_;
  mutable size_t last_line_ = 0, last_at_ = 0;
  mutable int last_column_ = 1;
};

class Builder : public YAML::EventHandler {
 public:
  Builder(const Source& source, Problems& problems, size_t most_nodes, size_t most_bytes)
      : source_(source), problems_(problems), most_nodes_(most_nodes), most_bytes_(most_bytes) {}

  int documents() const { return documents_; }
  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      throw Stop{source_.place(mark), "a second document starts here; one file is one document"};
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    YamlNode node;
    node.place = source_.place(mark);
    remember(anchor, node);
    add(std::move(node));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(mark, tag);
    YamlNode node;
    node.kind = YamlNode::Kind::scalar;
    node.place = source_.place(mark);
    node.text = value;
    node.quoted = tag == "!";
    const size_t at = source_.offset(mark);
    const char first = source_.at(at);
    if (node.quoted && (first == '"' || first == '\'') && !source_.quote_is_closed(at)) {
      throw Stop{node.place, "the quote that opens here is never closed"};
    }
    remember(anchor, node);
    add(std::move(node));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) {
      throw Stop{source_.place(mark), "this alias stands inside what it refers to"};
    }
    charge(known->second, source_.place(mark));  // before the copy is made
    add(YamlNode(known->second));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::map);
  }
  void OnMapEnd() override {
    merge(stack_.back());
    close();
  }

 private:
  struct Frame {
    YamlNode node;
    YAML::anchor_t anchor = 0;
    std::optional<YamlNode> key;                      // map: read, its value not yet
    std::vector<YamlNode> merges = {};                // map: values of `<<`
    std::unordered_map<std::string, int> lines = {};  // map: keys so far and where they stood
  };

  void check_tag(const YAML::Mark& mark, const std::string& tag) const {
    constexpr std::string_view kCore = "tag:yaml.org,2002:";
    if (tag.empty() || tag == "?" || tag == "!" || tag.starts_with(kCore)) return;
    throw Stop{source_.place(mark), "unknown tag `" + printable(tag) + "`; tags have no use here"};
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YamlNode::Kind kind) {
    check_tag(mark, tag);
    if (stack_.size() >= kMostYamlDepth) {
      throw Stop{source_.place(mark),
                 "nested more than " + std::to_string(kMostYamlDepth) + " deep"};
    }
    Frame frame;
    frame.node.kind = kind;
    frame.node.place = source_.place(mark);
    frame.anchor = anchor;
    stack_.push_back(std::move(frame));
  }

  void close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    remember(frame.anchor, frame.node);
    add(std::move(frame.node));
  }

  void remember(YAML::anchor_t anchor, const YamlNode& node) {
    if (anchor != 0) anchors_[anchor] = node;
  }

  // What a node costs in memory, so that an alias of an alias of … stops early.
  static void cost(const YamlNode& node, size_t& nodes, size_t& bytes) {
    ++nodes;
    bytes += node.text.size();
    for (const YamlNode& item : node.items) cost(item, nodes, bytes);
    for (const auto& entry : node.entries) {
      bytes += entry.key.size();
      cost(entry.value, nodes, bytes);
    }
  }

  void charge(const YamlNode& node, const Place& place) {
    cost(node, nodes_, bytes_);
    if (nodes_ > most_nodes_ || bytes_ > most_bytes_) {
      throw Stop{place, "the file holds too much (aliases that repeat each other?)"};
    }
  }

  // A node is counted each time that it is put into something: depth is limited, so this stays
  // proportional, and an alias pays for all that it repeats.
  void add(YamlNode node) {
    charge(node, node.place);
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& top = stack_.back();
    if (top.node.kind == YamlNode::Kind::list) {
      top.node.items.push_back(std::move(node));
      return;
    }
    if (!top.key) {
      if (node.kind != YamlNode::Kind::scalar) {
        throw Stop{node.place, "a key must be text, got " + describe(node)};
      }
      top.key = std::move(node);
      return;
    }
    YamlNode key = std::move(*top.key);
    top.key.reset();
    if (key.text == "<<" && !key.quoted) {
      top.merges.push_back(std::move(node));
      return;
    }
    const auto [first, is_new] = top.lines.emplace(key.text, key.place.line);
    if (!is_new) {
      problems_.add(key.place, "`" + printable(key.text) + "` is given twice (first at line " +
                                   std::to_string(first->second) + ")");
      return;
    }
    if (top.node.entries.size() >= kMostYamlKeys) {
      throw Stop{key.place, "more than " + std::to_string(kMostYamlKeys) + " keys in one map"};
    }
    top.node.entries.push_back({std::move(key.text), key.place, std::move(node)});
  }

  // `<<: *base` or `<<: [*a, *b]`: keys that the map does not have itself; earlier bases win.
  void merge(Frame& frame) {
    for (YamlNode& value : frame.merges) {
      std::vector<YamlNode> bases;
      if (value.kind == YamlNode::Kind::list) {
        bases = std::move(value.items);
      } else {
        bases.push_back(std::move(value));
      }
      for (YamlNode& base : bases) {
        if (base.kind != YamlNode::Kind::map) {
          problems_.add(base.place, "`<<` merges maps, got " + describe(base));
          continue;
        }
        for (auto& entry : base.entries) {
          const bool is_new = frame.lines.emplace(entry.key, entry.place.line).second;
          if (is_new) frame.node.entries.push_back(std::move(entry));
        }
      }
    }
  }

  const Source& source_;
  Problems& problems_;
  int documents_ = 0;
  size_t most_nodes_, most_bytes_;
  size_t nodes_ = 0, bytes_ = 0;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  YamlNode root_;
};

// yaml-cpp's words for the commonest slips, said for people.
std::string explain(const std::string& message) {
  static const std::map<std::string, std::string> kWords = {
      {"illegal map value",
       "not valid YAML: a `:` that cannot stand here (wrong indentation above, or a text with "
       "`: ` that needs quotes)"},
      {"end of map not found",
       "not valid YAML: this does not belong to the map above (wrong indentation, or something "
       "after a closed quote)"},
      {"end of sequence not found",
       "not valid YAML: this does not belong to the list above (wrong indentation?)"},
      {"end of map flow not found", "not valid YAML: `{` is not closed by `}`"},
      {"end of sequence flow not found", "not valid YAML: `[` is not closed by `]`"},
      {"illegal flow end", "not valid YAML: a closing bracket that closes nothing"},
      {"unknown token",
       "not valid YAML: a text cannot begin with this character; put it in quotes"},
  };
  const auto found = kWords.find(message);
  return found == kWords.end() ? "not valid YAML: " + message : found->second;
}

bool check_bytes(std::string_view text, const Source& source, Problems& problems) {
  if (const auto bad = first_invalid_utf8(text)) {
    problems.add(source.place(*bad), "not UTF-8");
    return false;
  }
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7f) {
      problems.add(source.place(i), "a control character (" + printable(text.substr(i, 1)) + ")");
      return false;
    }
  }
  return true;
}

}  // namespace

YamlNode parse_yaml(std::string_view text, const std::string& file, Problems& problems,
                    size_t most_bytes) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (text.size() > most_bytes) {
    problems.add({file, 0, 0}, "larger than " + std::to_string(most_bytes) + " bytes");
    return {};
  }
  const Source source(text, file);
  if (!check_bytes(text, source, problems)) return {};
  // A long file may hold more: what it says once costs a few nodes a line.
  Builder builder(source, problems, std::max(kMostYamlNodes, text.size() / 2), most_bytes * 16);
  try {
    // With a last line break yaml-cpp treats a quote that is never closed in one way, ours to find.
    std::istringstream stream(std::string(text) + "\n");
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Stop& stop) {
    problems.add(stop.place, stop.message);
    return {};
  } catch (const YAML::Exception& e) {
    problems.add(source.place(e.mark),
                 source.indented_by_tab(e.mark)
                     ? "not valid YAML: a tab in the indentation; indent with spaces"
                     : explain(e.msg));
    return {};
  }
  YamlNode root = builder.take();
  if (builder.documents() == 0 || root.kind == YamlNode::Kind::null) {
    problems.add({file, 1, 1}, "the file is empty");
  }
  return root;
}

const YamlNode::Entry* YamlNode::find_entry(std::string_view key) const {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

const YamlNode* YamlNode::find(std::string_view key) const {
  const Entry* entry = find_entry(key);
  return entry ? &entry->value : nullptr;
}

std::string describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "no value";
    case YamlNode::Kind::scalar:
      return "`" + printable(node.text, 60) + "`";
    case YamlNode::Kind::list:
      return "a list";
    case YamlNode::Kind::map:
      return "a map";
  }
  return {};
}

}  // namespace greta::runner
