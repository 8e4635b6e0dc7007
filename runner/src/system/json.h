// The two JSON values of the runner. Private to it.
#pragma once

#include <nlohmann/json.hpp>

namespace greta::runner {

using Json =
    nlohmann::ordered_json;  // keys in the order in which they were written: what people read
using SortedJson = nlohmann::json;  // keys sorted: what is looked up, compared and hashed

}  // namespace greta::runner
