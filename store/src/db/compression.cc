#include "db/compression.h"

#include <zstd.h>

namespace greta::store {
namespace {
constexpr int kLevel = 3, kLevelOfLarge = 1;
}

struct Compressor::State {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  std::string out;
  explicit State(int level) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);  // a flipped bit is seen when read
  }
  ~State() { ZSTD_freeCCtx(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Compressor::Compressor(bool of_large)
    : state_(std::make_unique<State>(of_large ? kLevelOfLarge : kLevel)) {}
Compressor::~Compressor() = default;

Result<std::string_view> Compressor::compress(std::string_view bytes) {
  state_->out.resize(ZSTD_compressBound(bytes.size()));
  const size_t size = ZSTD_compress2(state_->context, state_->out.data(), state_->out.size(),
                                     bytes.data(), bytes.size());
  if (ZSTD_isError(size) != 0)
    return fail(Exit::infrastructure, std::string("zstd: ") + ZSTD_getErrorName(size));
  return std::string_view(state_->out.data(), size);
}

Result<std::string> decompress(std::string_view frame, size_t size) {
  std::string out(size, '\0');
  const size_t got = ZSTD_decompress(out.data(), out.size(), frame.data(), frame.size());
  if (ZSTD_isError(got) != 0 || got != size) {
    return fail(Exit::infrastructure,
                "the store is damaged: a compressed piece does not unpack (" +
                    std::string(ZSTD_isError(got) != 0 ? ZSTD_getErrorName(got) : "wrong size") +
                    ")");
  }
  return out;
}

}  // namespace greta::store
