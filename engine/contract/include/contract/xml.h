#pragma once
// Text inside XML: what SVG and JUnit files need.

#include <string>
#include <string_view>

namespace greta {

// Between tags or in an attribute. Control bytes have no place in XML and become blanks; the bytes
// must be UTF-8.
std::string xml_escaped(std::string_view text);

}  // namespace greta
