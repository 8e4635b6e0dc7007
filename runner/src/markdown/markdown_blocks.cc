#include "markdown/markdown_blocks.h"

#include <algorithm>
#include <map>

#include "markdown/cmark_tree.h"
#include "markdown/table_row.h"

namespace greta::runner {
namespace {

bool is_type(cmark_node* node, std::string_view name) {
  return node != nullptr && cmark_node_get_type_string(node) == name;
}

// The text of what stands inline in `parent`. Walks by itself: inlines may be nested deeply.
void read_inlines(cmark_node* parent, MarkdownBlock& block, std::string& text) {
  const CmarkWalk iter(cmark_iter_new(parent));
  int strong = 0;
  bool outside = false;
  for (cmark_event_type event = cmark_iter_next(iter.get()); event != CMARK_EVENT_DONE;
       event = cmark_iter_next(iter.get())) {
    cmark_node* const node = cmark_iter_get_node(iter.get());
    const cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_STRONG) strong += event == CMARK_EVENT_ENTER ? 1 : -1;
    if (event != CMARK_EVENT_ENTER || node == parent) continue;
    if (type == CMARK_NODE_TEXT || type == CMARK_NODE_CODE || type == CMARK_NODE_HTML_INLINE) {
      text += literal(node);
      outside |= strong == 0;
      if (type == CMARK_NODE_CODE) block.code_spans.emplace_back(literal(node));
    } else if (type == CMARK_NODE_SOFTBREAK || type == CMARK_NODE_LINEBREAK) {
      text += '\n';
    }
  }
  block.is_bold = !text.empty() && !outside;
}

MarkdownBlock block_of(cmark_node* node, MarkdownBlock::Kind kind) {
  MarkdownBlock block;
  block.kind = kind;
  block.line = cmark_node_get_start_line(node);
  block.last_line = std::max(block.line, cmark_node_get_end_line(node));
  return block;
}

MarkdownBlock read_table(cmark_node* table) {
  MarkdownBlock block = block_of(table, MarkdownBlock::Kind::table);
  const int first_line = block.line;
  for (cmark_node* row = cmark_node_first_child(table); row != nullptr;
       row = cmark_node_next(row)) {
    MarkdownRow read;
    read.line = cmark_node_get_start_line(row);
    for (cmark_node* cell = cmark_node_first_child(row); cell != nullptr;
         cell = cmark_node_next(cell)) {
      MarkdownBlock inlines;
      read.cells.emplace_back();
      read_inlines(cell, inlines, read.cells.back());
    }
    if (is_type(row, "table_header")) {
      block.header = std::move(read);
    } else {
      block.rows.push_back(std::move(read));
    }
  }
  // A paragraph that runs into the table lends it its first line; the head stands two lines above
  // the first row, or one above the last line.
  block.line = block.rows.empty() ? block.last_line - 1 : block.rows[0].line - 2;
  block.header.line = block.line = std::max(block.line, first_line);
  return block;
}

// The paragraph in front of a table without a blank line between them has no line of its own.
void place_paragraph_before(std::vector<MarkdownBlock>& blocks, int first_line) {
  if (blocks.size() < 2 || blocks[blocks.size() - 2].line != 0) return;
  blocks[blocks.size() - 2].line = first_line;
  blocks[blocks.size() - 2].last_line = blocks.back().line - 1;
}

// Says of the rows which cells have no head, and which line would fit its table if a `|` in a code
// span were a letter. Those lines, with that `|` escaped; nothing where there is none.
std::map<int, std::string> compare_with_lines(const std::vector<std::string>& lines,
                                              std::vector<MarkdownBlock>& blocks) {
  std::map<int, std::string> mended;
  for (MarkdownBlock& block : blocks) {
    const size_t heads = block.header.cells.size();
    for (MarkdownRow& row : block.rows) {
      if (row.line < 1 || static_cast<size_t>(row.line) > lines.size()) continue;
      const std::string& line = lines[static_cast<size_t>(row.line) - 1];
      WrittenRow written = written_row(line, /*keep_code=*/false);
      row.code_ends_cell = !written.in_code.empty();
      if (written.cells.size() <= heads) continue;
      const size_t whole = written_row(line, /*keep_code=*/true).cells.size();
      if (row.code_ends_cell && whole == heads) {
        std::string escaped = line;
        for (size_t i = written.in_code.size(); i-- > 0;)
          escaped.insert(written.in_code[i], 1, '\\');
        mended[row.line] = escaped;
      }
      row.excess.assign(written.cells.begin() + static_cast<std::ptrdiff_t>(heads),
                        written.cells.end());
    }
  }
  return mended;
}

std::vector<MarkdownBlock> read_blocks(std::string_view text) {
  const CmarkDocument document = parse_markdown(text);
  std::vector<MarkdownBlock> out;
  const CmarkWalk iter(cmark_iter_new(document.root.get()));
  for (cmark_event_type event = cmark_iter_next(iter.get()); event != CMARK_EVENT_DONE;
       event = cmark_iter_next(iter.get())) {
    if (event != CMARK_EVENT_ENTER) continue;
    cmark_node* const node = cmark_iter_get_node(iter.get());
    const cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_HEADING) {
      out.push_back(block_of(node, MarkdownBlock::Kind::heading));
      out.back().level = cmark_node_get_heading_level(node);
      read_inlines(node, out.back(), out.back().text);
    } else if (type == CMARK_NODE_PARAGRAPH) {
      const bool in_item = is_type(cmark_node_parent(node), "item");
      out.push_back(
          block_of(node, in_item ? MarkdownBlock::Kind::item : MarkdownBlock::Kind::paragraph));
      read_inlines(node, out.back(), out.back().text);
    } else if (type == CMARK_NODE_CODE_BLOCK) {
      out.push_back(block_of(node, MarkdownBlock::Kind::code));
      out.back().text = literal(node);
    } else if (is_type(node, "table")) {
      out.push_back(read_table(node));
      place_paragraph_before(out, cmark_node_get_start_line(node));
    }
  }
  return out;
}

}  // namespace

std::vector<std::string> markdown_lines(std::string_view text) {
  std::vector<std::string> out;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find_first_of("\r\n", at), text.size());
    out.emplace_back(text.substr(at, end - at));
    at = end + (text.substr(end, 2) == "\r\n" ? 2 : 1);
  }
  return out;
}

std::vector<MarkdownBlock> markdown_blocks(std::string_view text) {
  std::vector<MarkdownBlock> out = read_blocks(text);
  std::vector<std::string> lines = markdown_lines(text);
  const std::map<int, std::string> mended = compare_with_lines(lines, out);
  if (mended.empty()) return out;
  std::string again;
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto line = mended.find(static_cast<int>(i) + 1);
    again += (line == mended.end() ? lines[i] : line->second) + "\n";
  }
  out = read_blocks(again);
  compare_with_lines(markdown_lines(again), out);
  for (MarkdownBlock& block : out)
    for (MarkdownRow& row : block.rows) row.is_mended = mended.contains(row.line);
  return out;
}

}  // namespace greta::runner
