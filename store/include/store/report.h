#pragma once
// The milestone report: every figure comes from the store with the query behind it, prose only from
// the optional fields of the spec.

#include <string>

#include "store/store.h"

namespace greta::store {

enum class Language { en, es, both };

Result<std::string> markdown_report(Store& store, int64_t run, Language language);

}  // namespace greta::store
