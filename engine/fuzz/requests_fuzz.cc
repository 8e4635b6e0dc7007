// Any bytes as a request file and as a list of token ids.
#include <cstddef>
#include <cstdint>

#include "io/requests.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)greta::engine::parse_requests(text, "fuzz.jsonl", 1000);
  (void)greta::engine::parse_token_ids(text, "fuzz.txt", 1000);
  return 0;
}
