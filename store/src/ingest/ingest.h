#pragma once
// A bundle into the store: files, facts, and every line of every records file.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "contract/schema.h"
#include "db/sqlite.h"
#include "ingest/ingest_manifest.h"
#include "ingest/ingest_source.h"

namespace greta::store {

inline constexpr std::string_view kManifestName = "manifest.json";

struct Facts {
  int64_t bundle = 0;
  Manifest manifest;
  std::optional<Schema> schema;                               // as the engine describes its records
  std::map<std::string, int64_t, std::less<>> requests = {};  // request.id by name
};
// A bundle without its files: its row, what its manifest and its engine say of it, its requests.
// Inside a transaction of the caller.
Result<Facts> ingest_facts(Database& db, std::string_view manifest_text, BundleSource& source);

// Inside a transaction of the caller. Returns bundle.id. A bundle that is there already (same bytes
// of the manifest) is left as it is.
Result<int64_t> ingest(Database& db, std::string_view manifest_text, BundleSource& source);

// The file's bytes, exactly; `offset` and `length` cut a part out.
Result<std::string> stored_bytes(Database& db, int64_t content, int64_t offset, int64_t length);

}  // namespace greta::store
