#pragma once
// A bundle into the store: files, facts, and every line of every records file.

#include <string>
#include <string_view>

#include "db/sqlite.h"
#include "ingest/ingest_manifest.h"
#include "ingest/ingest_source.h"

namespace greta::store {

inline constexpr std::string_view kManifestName = "manifest.json";

// Inside a transaction of the caller. Returns bundle.id. A bundle that is there already (same bytes
// of the manifest) is left as it is.
Result<int64_t> ingest(Database& db, std::string_view manifest_text, BundleSource& source);

// The file's bytes, exactly; `offset` and `length` cut a part out.
Result<std::string> stored_bytes(Database& db, int64_t content, int64_t offset, int64_t length);

}  // namespace greta::store
