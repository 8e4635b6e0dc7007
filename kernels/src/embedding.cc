#include "kernels/kernels.h"
#include "registry.h"

namespace greta::kernels {

void embedding_rows(const EmbeddingArgs& args, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    dequantize(args.table.type(), args.table.row(args.tokens[t]), args.out.row_span(t));
  }
}

Status embedding(Context& context, const EmbeddingArgs& args) {
  if (args.out.columns() != args.table.columns() ||
      args.out.rows() != static_cast<int64_t>(args.tokens.size()) ||
      !whole_blocks(args.table.type(), args.table.columns())) {
    return Status::bad_shape;
  }
  for (const int32_t token : args.tokens) {
    if (token < 0 || token >= args.table.rows()) return Status::bad_shape;
  }
  context.count(Op::embedding, args.table.type());
  context.pool().split(args.out.rows(), 8, [&](int64_t begin, int64_t end, int) {
    kGenericCode.embedding(args, begin, end);
  });
  return Status::ok;
}

}  // namespace greta::kernels
