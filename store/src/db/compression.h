#pragma once
// zstd frames for the stored file contents. Compression level 3: ten to one on JSONL, faster than
// the SQLite inserts that go with it.

#include <memory>
#include <string>
#include <string_view>

#include "contract/result.h"

namespace greta::store {

class Compressor {
 public:
  Compressor();
  ~Compressor();
  // Valid until the next call.
  Result<std::string_view> compress(std::string_view bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// `size` is what the frame must unpack to; anything else is an error.
Result<std::string> decompress(std::string_view frame, size_t size);

}  // namespace greta::store
