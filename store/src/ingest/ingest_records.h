#pragma once
// One file of a bundle, read once: hashed, compressed into pieces, and, for a records file, taken
// apart line by line.

#include <map>
#include <string>
#include <vector>

#include "db/compression.h"
#include "db/sqlite.h"
#include "ingest/ingest_manifest.h"
#include "ingest/ingest_source.h"
#include "tables/ingest_line.h"
#include "tables/typed_tables.h"

namespace greta::store {

class FileIngest {
 public:
  // `requests`: request.id by name, with '' among them; `default_request`: of lines that name none.
  FileIngest(Database& db, TypedTables& tables, int64_t bundle,
             std::map<std::string, int64_t, std::less<>>& requests, std::string default_request);

  Result<> prepare();
  // Errors: size or hash are not those of the manifest.
  Result<> add(const ManifestFile& file, BundleSource& source);

 private:
  Result<> read(const ManifestFile& file, ByteReader& reader);
  Result<> add_piece(std::string_view bytes);
  Result<> add_line(std::string_view line, bool torn);
  Result<int64_t> request_id(std::string_view name);

  Database& db_;
  TypedTables& tables_;
  int64_t bundle_;
  std::map<std::string, int64_t, std::less<>>& requests_;
  std::string default_request_;
  Compressor compressor_;
  LineParser parser_;
  std::vector<LineField> fields_;
  Statement add_record_, add_chunk_, set_state_;
  int64_t next_record_ = 0;

  // The file at hand.
  int64_t file_ = 0, content_ = 0, line_ = 0, line_offset_ = 0, piece_offset_ = 0;
  bool is_records_ = false, keep_pieces_ = false;
  std::string kind_name_;
  std::string last_request_;
  int64_t last_request_id_ = 0;
};

}  // namespace greta::store
