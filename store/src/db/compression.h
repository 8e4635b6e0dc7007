#pragma once
// zstd frames for the stored file contents.

#include <memory>
#include <string>
#include <string_view>

#include "contract/result.h"

namespace greta::store {

class Compressor {
 public:
  // of_large: a file of many megabytes, where level 1 keeps up with the SQLite inserts beside it
  // (half the time of level 3, a tenth more bytes).
  explicit Compressor(bool of_large = false);
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
