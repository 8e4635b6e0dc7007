#pragma once
// The files of a bundle that a store holds, read as they were when they came in.

#include "db/sqlite.h"
#include "ingest/ingest_source.h"

namespace greta::store {

// The bytes of a content, piece by piece. Not checked against their hash.
Result<std::unique_ptr<ByteReader>> read_content(Database& db, int64_t content);

class StoredSource : public BundleSource {
 public:
  StoredSource(Database& db, int64_t bundle) : db_(db), bundle_(bundle) {}
  Result<std::unique_ptr<ByteReader>> open(const std::string& name) override;
  std::string place(const std::string& name) const override { return name; }

 private:
  Database& db_;
  int64_t bundle_;
};

}  // namespace greta::store
