// A thin layer over SQLite's C interface: owned connections, cached statements, absl::Status.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace trainyard {

class Database;

// A prepared statement, borrowed from its connection's cache until it is destroyed. Values are
// bound from the left, one call each; text and blobs must stay alive until the last Step. Not
// thread-safe.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& Bind(int64_t value);
  Statement& Bind(double value);  // NaN is stored as NULL
  Statement& Bind(std::string_view text);
  Statement& BindBlob(std::string_view bytes);
  Statement& BindNull();

  // True when there is a row to read, false at the end.
  absl::StatusOr<bool> Step();
  // Runs a statement that answers no rows.
  absl::Status Run();
  // Makes the statement ready for other values.
  void Reset();

  // Columns of the current row, from 0; text and blobs are valid until the next Step or Reset.
  int64_t Int(int column) const;
  double Double(int column) const;  // NaN for NULL
  std::string_view Text(int column) const;
  std::string_view Blob(int column) const;
  bool IsNull(int column) const;

 private:
  friend class Database;
  Statement(Database* database, sqlite3_stmt* statement, bool* in_use);

  Database* database_;
  sqlite3_stmt* statement_;
  bool* in_use_;  // null: not cached, finalised here
  int bound_ = 0;
  int bind_error_ = 0;
};

// One connection. Used by one thread at a time.
//
// Errors: RESOURCE_EXHAUSTED (disk full, out of memory), DATA_LOSS (the file is damaged),
// ALREADY_EXISTS (a unique key is taken), UNAVAILABLE (locked, cannot be opened or read),
// PERMISSION_DENIED, else INTERNAL; the message holds SQLite's.
class Database {
 public:
  enum class Mode { kReadWriteCreate, kReadOnly };
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::filesystem::path& file,
                                                        Mode mode);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // A cached statement; `sql` should be one of few texts.
  absl::StatusOr<Statement> Prepare(std::string_view sql);
  // A statement that is used once.
  absl::StatusOr<Statement> PrepareOnce(std::string_view sql);
  // Runs a cached statement without values or rows.
  absl::Status Run(std::string_view sql);
  // Runs one or several statements without values, once.
  absl::Status Execute(std::string_view sql);
  // The first column of the first row of `sql`.
  absl::StatusOr<int64_t> QueryInt(std::string_view sql);

  // Row id of the newest insert.
  int64_t last_insert_row() const;
  // Rows changed by the statement that ran last.
  int64_t changes() const;
  bool in_transaction() const;
  // What SQLite says about its newest error on this connection.
  absl::Status Error(std::string_view doing) const;

 private:
  friend class Statement;
  struct Cached {
    sqlite3_stmt* statement = nullptr;
    bool in_use = false;
  };
  explicit Database(sqlite3* handle) : handle_(handle) {}

  sqlite3* handle_;
  absl::flat_hash_map<std::string, std::unique_ptr<Cached>> statements_;
};

// `text` for the interfaces of Abseil, whose string view is a type of its own, and back.
inline absl::string_view AbslView(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view StdView(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace trainyard
