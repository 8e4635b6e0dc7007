#include "markdown/html_page.h"

#include <cstdlib>
#include <vector>

#include "contract/xml.h"
#include "markdown/cmark_tree.h"

namespace greta::runner {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.25; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8886; }
nav { columns: 16rem; margin: 1.5rem 0; }
nav a { display: block; }
table { display: block; overflow-x: auto; border-collapse: collapse; margin: 1rem 0 0.25rem; }
th, td { border: 1px solid #8886; padding: 0.2rem 0.6rem; vertical-align: top; }
th { background: #8882; text-align: left; }
td[align="right"] { font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: 0.9em ui-monospace, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; margin: 0.25rem 0; }
details { font-size: 0.85em; margin-bottom: 1rem; }
summary { cursor: pointer; opacity: 0.7; }
)";

// The tree is changed after the walk: cmark's iterator does not like it meanwhile.
std::vector<cmark_node*> nodes_of(cmark_node* root) {
  std::vector<cmark_node*> out;
  const CmarkWalk walk(cmark_iter_new(root));
  for (cmark_event_type event = cmark_iter_next(walk.get()); event != CMARK_EVENT_DONE;
       event = cmark_iter_next(walk.get())) {
    if (event == CMARK_EVENT_ENTER) out.push_back(cmark_iter_get_node(walk.get()));
  }
  return out;
}

cmark_node* literal_node(cmark_node_type type, std::string_view text) {
  cmark_node* const node = cmark_node_new(type);
  cmark_node_set_literal(node, std::string(text).c_str());
  return node;
}

cmark_node* markup_node(cmark_node_type type, const std::string& before, const char* after = "") {
  cmark_node* const node = cmark_node_new(type);
  cmark_node_set_on_enter(node, before.c_str());
  cmark_node_set_on_exit(node, after);
  return node;
}

void replace(cmark_node* old, cmark_node* fresh) {
  cmark_node_replace(old, fresh);
  cmark_node_free(old);
}

// A command of the report, below what it gave: "greta query", "greta diff"; else "".
std::string_view command_of(std::string_view code) {
  for (const std::string_view command : {"greta query", "greta diff"}) {
    if (code.starts_with(command)) return command;
  }
  return "";
}

// The code of a paragraph that is <sub>`code`</sub> and no more; null for others.
cmark_node* sole_code(cmark_node* paragraph) {
  cmark_node* const first = cmark_node_first_child(paragraph);
  cmark_node* const last = cmark_node_last_child(paragraph);
  if (first == nullptr || literal(first) != "<sub>" || literal(last) != "</sub>") return nullptr;
  cmark_node* const code = cmark_node_next(first);
  const bool alone = cmark_node_get_type(code) == CMARK_NODE_CODE && cmark_node_next(code) == last;
  return alone ? code : nullptr;
}

void fold(cmark_node* block, std::string_view code) {
  const std::string_view command = command_of(code);
  if (command.empty()) return;
  cmark_node* const folded =
      markup_node(CMARK_NODE_CUSTOM_BLOCK,
                  "<details><summary>" + std::string(command) + "</summary>", "</details>");
  cmark_node_append_child(folded, literal_node(CMARK_NODE_CODE_BLOCK, code));
  replace(block, folded);
}

// Raw HTML is text of somebody's, except for the small print that reports are written with.
void show_html(cmark_node* node) {
  const std::string_view html = literal(node);
  if (html == "<sub>" || html == "</sub>") {
    replace(node, markup_node(CMARK_NODE_CUSTOM_INLINE, html == "<sub>" ? "<small>" : "</small>"));
  } else {
    replace(node, literal_node(CMARK_NODE_TEXT, html));
  }
}

void show_html_block(cmark_node* node) {
  cmark_node* const paragraph = cmark_node_new(CMARK_NODE_PARAGRAPH);
  cmark_node_append_child(paragraph, literal_node(CMARK_NODE_TEXT, literal(node)));
  replace(node, paragraph);
}

std::string plain_text(cmark_node* root) {
  std::string out;
  for (cmark_node* node : nodes_of(root)) out += literal(node);
  return out;
}

}  // namespace

std::string html_page(std::string_view markdown, std::string_view language) {
  const CmarkDocument document = parse_markdown(markdown);
  cmark_node* const root = document.root.get();
  std::vector<cmark_node*> queries;
  for (cmark_node* node : nodes_of(root)) {
    if (cmark_node_get_type(node) == CMARK_NODE_PARAGRAPH && sole_code(node) != nullptr)
      queries.push_back(node);
  }
  for (cmark_node* node : queries) fold(node, literal(sole_code(node)));

  std::string title, contents;
  int sections = 0;
  for (cmark_node* node : nodes_of(root)) {
    const cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_HEADING) {
      const std::string text = plain_text(node);
      if (title.empty()) title = text;
      if (cmark_node_get_heading_level(node) != 2) continue;
      const std::string id = "s" + std::to_string(++sections);
      contents += "<a href=\"#" + id + "\">" + xml_escaped(text) + "</a>\n";
      cmark_node_insert_before(node,
                               markup_node(CMARK_NODE_CUSTOM_BLOCK, "<a id=\"" + id + "\"></a>"));
    } else if (type == CMARK_NODE_HTML_INLINE) {
      show_html(node);
    } else if (type == CMARK_NODE_HTML_BLOCK) {
      show_html_block(node);
    } else if (type == CMARK_NODE_CODE_BLOCK &&
               cmark_node_get_type(cmark_node_parent(node)) != CMARK_NODE_CUSTOM_BLOCK) {
      fold(node, literal(node));
    }
  }
  char* const body = cmark_render_html(root, CMARK_OPT_DEFAULT, nullptr);
  std::string page = "<!doctype html>\n<html lang=\"" + xml_escaped(language) +
                     "\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                     "content=\"width=device-width, initial-scale=1\">\n<title>" +
                     xml_escaped(title) + "</title>\n<style>" + std::string(kStyle) +
                     "</style>\n</head>\n<body>\n" +
                     (contents.empty() ? "" : "<nav>\n" + contents + "</nav>\n") + body +
                     "</body>\n</html>\n";
  std::free(body);
  return page;
}

}  // namespace greta::runner
