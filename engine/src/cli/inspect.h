#pragma once
// `inspect`: what is in a GGUF file, runnable here or not.

#include <string>

#include "model/gguf.h"

namespace greta::engine {

std::string inspect_text(const GgufFile& file);
std::string inspect_json(const GgufFile& file);

}  // namespace greta::engine
