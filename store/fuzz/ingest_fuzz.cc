// Any bytes as a JSONL file of a bundle: nothing may crash, no line and no byte may be lost, and
// `greta check` must find nothing wrong with what was made of them. The first byte chooses whether
// the lines have a kind of the contract, for which there are typed columns.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "care/check_records.h"
#include "ingest/ingest.h"
#include "store/sha256.h"
#include "tables/store_impl.h"

namespace {

using namespace greta;
using namespace greta::store;

void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

template <class T>
T must(Result<T> result) {
  require(result.has_value(), result ? "" : result.error().str());
  return std::move(*result);
}

int64_t lines_seen = 0;

Database& database() {
  static Store store = [] {
    std::atexit(
        [] { std::fprintf(stderr, "stat::lines: %lld\n", static_cast<long long>(lines_seen)); });
    return must(Store::in_memory());
  }();
  return store.impl().db;
}

std::string manifest_of(const std::string& bytes, const std::string& kind) {
  return R"({"manifest":1,"provenance":"executed","status":"ok","started_at":"","ended_at":"",)"
         R"("environment":{},"cells":[{"identity":"i","prompt":"p","request":"p","status":"ok"}],)"
         R"("files":[{"name":"f.jsonl","role":"records","kind":")" +
         kind + R"(","bytes":)" + std::to_string(bytes.size()) + R"(,"sha256":")" +
         sha256_hex(bytes) + R"("}]})";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const char* const kinds[] = {"", "readout", "attn_decode_verify", "mine"};
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string manifest = manifest_of(bytes, kinds[data[0] % 4]);

  Database& db = database();
  const Transaction never_committed = must(Transaction::begin(db));
  MemorySource source({{"f.jsonl", bytes}});
  must(ingest(db, manifest, source));

  const int64_t breaks = std::count(bytes.begin(), bytes.end(), '\n');
  const int64_t lines = breaks + (bytes.empty() || bytes.back() == '\n' ? 0 : 1);
  require(must(db.integer("SELECT count(*) FROM record")) == lines, "a line is lost");
  const int64_t content = must(db.integer("SELECT id FROM content"));
  require(must(stored_bytes(db, content, 0, static_cast<int64_t>(bytes.size()))) == bytes,
          "a byte is lost");
  std::vector<Trouble> troubles;
  const auto rows = check_rows(db, troubles);
  require(rows.has_value(), rows ? "" : rows.error().str());
  const auto values = check_lines_of_content(db, content, "f.jsonl", troubles);
  require(values.has_value(), values ? "" : values.error().str());
  for (const Trouble& trouble : troubles) require(false, trouble.where + ": " + trouble.what);
  lines_seen += lines;
  return 0;
}
