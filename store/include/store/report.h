#pragma once
// The milestone report: every figure comes from the store with the query behind it, prose only from
// the optional fields of the spec.

#include <string>

#include "store/store.h"

namespace greta::store {

enum class Language { en, es, both };

Result<std::string> markdown_report(Store& store, int64_t run, Language language);
// JUnit's XML for CI: the gates of the run, its lints and its cells. A gate that measured nothing
// is an error; a lint is a skipped case, as it changes no verdict.
Result<std::string> junit_report(Store& store, int64_t run);

}  // namespace greta::store
