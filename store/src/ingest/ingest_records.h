#pragma once
// The files of a bundle, each read once: kept in compressed pieces and, for a records file, its
// lines in the tables.

#include <map>
#include <span>
#include <string>
#include <vector>

#include "db/insert_rows.h"
#include "db/sqlite.h"
#include "ingest/ingest_manifest.h"
#include "ingest/ingest_source.h"
#include "ingest/pieces.h"
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
  // Lines of this file that share a row of `span`.
  struct SpanKey {
    const TypedTables::Kind* kind = nullptr;
    int64_t request = 0;
    LineState state = LineState::ok;
    auto operator<=>(const SpanKey&) const = default;
  };
  struct Span {
    int64_t id = 0, first_record = 0, last_record = 0, lines = 0;
  };

  Result<> add_pieces(const ManifestFile& file, PieceReader& reader);
  Result<> add_parts(const Piece& piece);
  Result<> add_line(const Piece& piece, const Piece::Line& line);
  Result<> write_records();
  Result<> write_waiting();
  Result<> add_spans();
  Span& span_of(const SpanKey& key, int64_t record);
  // Mostly those of the line before.
  Result<TypedTables::Kind*> kind_of(std::string_view name);
  Result<int64_t> request_id(std::string_view name);
  std::string_view request_without_name(std::span<const LineField> fields) const;

  Database& db_;
  TypedTables& tables_;
  int64_t bundle_;
  std::map<std::string, int64_t, std::less<>>& requests_;
  std::string default_request_;
  struct Record {
    int64_t id, span, byte_offset, length;
  };
  InsertRows add_record_;
  std::vector<Record> waiting_;  // fewer than InsertRows::kRows
  Statement add_chunk_;
  int64_t next_record_ = 0, next_span_ = 0;

  // The file at hand.
  int64_t file_ = 0, content_ = 0, piece_offset_ = 0, part_offset_ = 0;
  std::string kind_name_;
  const ManifestFile* manifest_file_ = nullptr;
  std::map<SpanKey, Span> spans_;
  std::pair<const SpanKey, Span>* last_span_ = nullptr;
  std::string last_kind_name_, last_request_;
  TypedTables::Kind* last_kind_ = nullptr;
  int64_t last_request_id_ = 0;
};

}  // namespace greta::store
