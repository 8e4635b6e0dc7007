#pragma once
// `describe`: what this engine is and what it understands, for programs (JSON) and for people.

#include <string>

namespace greta::engine {

std::string describe_json();
std::string describe_text();
std::string flags_page();  // engine/FLAGS.md

}  // namespace greta::engine
