#include "store/store.h"

#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "contract/schema.h"
#include "db/greta_line.h"
#include "db/process_mark.h"
#include "runs/query_guard.h"
#include "tables/migrations.h"
#include "tables/store_impl.h"
#include "tables/typed_tables.h"

namespace greta::store {
namespace {

// Tables and views of every kind that this greta knows, once a description: a kind without a record
// is an empty view, so that a query on it measures nothing and does not fail.
Result<> describe_builtin(Database& db) {
  const std::string key = "described:builtin:" + sha256_hex(builtin_schema_text());
  TRY_ASSIGN(Statement seen, db.prepare("SELECT 1 FROM meta WHERE key = ?"));
  TRY_ASSIGN(bool done, seen.bind_all(key).step());
  seen.reset();
  if (done) return {};
  TRY_ASSIGN(Transaction transaction, Transaction::begin(db));
  TRY_ASSIGN(done, seen.bind_all(key).step());
  seen.reset();
  if (done) return {};
  TypedTables tables(db, nullptr);
  TRY(tables.describe(builtin_schema()));
  TRY(tables.finish());
  TRY_ASSIGN(Statement mark, db.prepare("INSERT INTO meta (key, value) VALUES (?, '')"));
  TRY(mark.bind_all(key).run());
  return transaction.commit();
}

Error at_file(Error error, const std::filesystem::path& file) {
  if (error.file.empty()) error.file = file.string();
  return error;
}

// The switch needs the file alone for a moment: false where that cannot be had soon (two processes
// that create one store, a long read). The rollback journal serves until the next time.
constexpr int kWaitingTries = 100, kSettlingTries = 5;
Result<bool> switch_to_wal(Database& db, int tries) {
  sqlite3_busy_timeout(db.handle(), 0);
  Result<bool> done = false;
  for (int i = 1; i <= tries; ++i) {
    const auto mode = db.text("PRAGMA journal_mode = WAL");
    const bool busy = !mode && (sqlite3_errcode(db.handle()) & 0xff) == SQLITE_BUSY;
    if (mode) done = true;
    if (!mode && !busy) done = tl::unexpected(mode.error());
    if (!busy) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  sqlite3_busy_timeout(db.handle(), kBusyTimeoutMs);
  return done;
}

bool is_nothing_yet(const std::filesystem::path& file) {
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(file, error);
  return error || size == 0;
}

bool is_older_store(const std::filesystem::path& file) {
  auto db = Database::open(file, Database::Mode::read_only);
  if (!db || db->integer("PRAGMA application_id").value_or(0) != kApplicationId) return false;
  return db->integer("PRAGMA user_version").value_or(newest_version()) < newest_version();
}

// A writer died in a transaction before the store was in WAL mode: only one that may write can undo
// it, and until then the file must not be read.
bool has_hot_journal(const std::filesystem::path& file) {
  std::error_code ignored;
  const std::filesystem::path journal = file.string() + "-journal";
  return std::filesystem::exists(journal, ignored) &&
         std::filesystem::file_size(journal, ignored) > 0;
}

// SQLite needs the folder as well: for its journal.
Access access_to(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  const bool can_write = access(file.c_str(), W_OK) == 0 && access(folder.c_str(), W_OK) == 0;
  return can_write ? Access::read_write : Access::read_only;
}

Result<> must_be_no_folder(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(file, ignored)) return {};
  return fail(Exit::infrastructure, "is a folder; the store is a file, such as store.sqlite in it");
}

struct Opened {
  Database db;
  bool is_new = false;  // the file was nothing yet: it has a rollback journal until it settles
  int64_t came_from = newest_version();
};

Result<Opened> open_database(const std::filesystem::path& file, Access access) {
  namespace fs = std::filesystem;
  TRY(must_be_no_folder(file));
  if (access == Access::read_only) {
    auto reading = open_reading(file);
    if (reading) return Opened{.db = std::move(*reading)};
    // An older store is brought up where it can be written, whoever asks first.
    const bool is_older = is_older_store(file);
    if ((!is_older && !has_hot_journal(file)) || access_to(file) != Access::read_write)
      return tl::unexpected(reading.error());
    TRY_ASSIGN(const Opened writer, open_database(file, Access::read_write));
    TRY_ASSIGN(Database db, open_reading(file));
    return Opened{.db = std::move(db), .came_from = writer.came_from};
  }
  if (file.has_parent_path()) {
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    if (error) return fail(Exit::infrastructure, "cannot make its folder: " + error.message());
  }
  const bool is_new = is_nothing_yet(file);
  TRY_ASSIGN(Database db, Database::open(file, Database::Mode::create));
  TRY(db.execute("PRAGMA page_size = 8192"));      // of a new file: fewer, larger writes
  TRY_ASSIGN(const int64_t version, migrate(db));  // before WAL: a foreign file stays untouched
  if (!is_new) TRY(switch_to_wal(db, kWaitingTries));
  // FULL: what a finished run said is on the disk before anybody is told.
  TRY(db.execute("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000"));
  TRY(describe_builtin(db));
  return Opened{.db = std::move(db),
                .is_new = is_new,
                .came_from = version == 0 ? newest_version() : version};
}

Result<Database> memory_database() {
  TRY_ASSIGN(Database db, Database::open(":memory:", Database::Mode::create));
  TRY(migrate(db));
  TRY(describe_builtin(db));
  return db;
}

}  // namespace

Result<Database> open_reading(const std::filesystem::path& file) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (!fs::exists(file, ignored))
    return fail(Exit::usage, "there is no store yet: `greta run` or `greta import` makes one");
  TRY_ASSIGN(Database db, Database::open(file, Database::Mode::read_only));
  // The first read of a store in WAL mode needs its -shm file, or leave to make one.
  const fs::path log = file.string() + "-wal";
  const auto first = db.integer("SELECT count(*) FROM sqlite_master");
  const int code = sqlite3_errcode(db.handle()) & 0xff;
  const bool cannot_share = code == SQLITE_CANTOPEN || code == SQLITE_READONLY;
  if (!first && cannot_share && !has_hot_journal(file) &&
      (!fs::exists(log, ignored) || fs::file_size(log, ignored) == 0)) {
    TRY_ASSIGN(db, Database::open(file, Database::Mode::immutable));
  }
  TRY(check_version(db));
  return db;
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

std::optional<int64_t> Store::brought_up_from() const {
  return impl_->came_from == newest_version() ? std::nullopt : std::optional(impl_->came_from);
}

Result<> Store::Impl::must_fill() const {
  if (access == Access::read_write) return {};
  return fail(Exit::infrastructure, "the store is open for reading only");
}

Result<> Store::Impl::must_write() {
  TRY(must_fill());
  settle();
  return {};
}

void Store::Impl::settle() {
  // Whatever is wrong with the file, the next statement says it.
  if (is_new) is_new = !switch_to_wal(db, kSettlingTries).value_or(true);
}

Result<Store> Store::open(const std::filesystem::path& file, Access access) {
  auto opened = open_database(file, access);
  if (!opened) return tl::unexpected(at_file(std::move(opened.error()), file));
  TRY(add_greta_line(opened->db));
  auto impl = std::make_unique<Impl>(file, access, std::move(opened->db));
  impl->is_new = opened->is_new;
  impl->came_from = opened->came_from;
  return Store(std::move(impl));
}

Result<Store> Store::in_memory() {
  TRY_ASSIGN(Database db, memory_database());
  TRY_ASSIGN(Database reader, memory_database());
  TRY(add_greta_line(db));
  TRY(make_reader(reader));
  auto impl = std::make_unique<Impl>(":memory:", Access::read_write, std::move(db));
  impl->reader = std::move(reader);
  return Store(std::move(impl));
}

}  // namespace greta::store
