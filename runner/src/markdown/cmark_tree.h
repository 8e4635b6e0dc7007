#pragma once
// cmark-gfm's tree of a Markdown text, with tables. Private to `markdown`.

#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm-extension_api.h>
#include <cmark-gfm.h>

#include <memory>
#include <string_view>

namespace greta::runner {

struct CmarkDeleter {
  void operator()(cmark_parser* parser) const { cmark_parser_free(parser); }
  void operator()(cmark_node* node) const { cmark_node_free(node); }
  void operator()(cmark_iter* iter) const { cmark_iter_free(iter); }
};
using CmarkParser = std::unique_ptr<cmark_parser, CmarkDeleter>;
using CmarkTree = std::unique_ptr<cmark_node, CmarkDeleter>;
using CmarkWalk = std::unique_ptr<cmark_iter, CmarkDeleter>;

// Its nodes' extensions belong to the parser, which therefore outlives the tree.
struct CmarkDocument {
  CmarkParser parser;
  CmarkTree root;
};

inline CmarkDocument parse_markdown(std::string_view text) {
  cmark_gfm_core_extensions_ensure_registered();
  CmarkParser parser(cmark_parser_new(CMARK_OPT_DEFAULT | CMARK_OPT_VALIDATE_UTF8));
  cmark_parser_attach_syntax_extension(parser.get(), cmark_find_syntax_extension("table"));
  cmark_parser_feed(parser.get(), text.data(), text.size());
  CmarkTree root(cmark_parser_finish(parser.get()));
  return {std::move(parser), std::move(root)};
}

inline std::string_view literal(cmark_node* node) {
  const char* const text = cmark_node_get_literal(node);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

}  // namespace greta::runner
