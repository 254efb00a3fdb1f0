#include "server/storage/sqlite.h"

#include <sqlite3.h>

#include <cerrno>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

absl::StatusCode CodeOf(int extended, int system_errno) {
  if (extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY ||
      extended == SQLITE_CONSTRAINT_ROWID) {
    return absl::StatusCode::kAlreadyExists;
  }
  switch (extended & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_IOERR:
      return system_errno == ENOSPC || system_errno == EDQUOT ? absl::StatusCode::kResourceExhausted
                                                              : absl::StatusCode::kUnavailable;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
      return absl::StatusCode::kUnavailable;
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return absl::StatusCode::kPermissionDenied;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

Statement::Statement(Database* database, sqlite3_stmt* statement, bool* in_use)
    : database_(database), statement_(statement), in_use_(in_use) {
  if (in_use_ != nullptr) *in_use_ = true;
}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      in_use_(std::exchange(other.in_use_, nullptr)),
      bound_(other.bound_),
      bind_error_(other.bind_error_) {}

Statement::~Statement() {
  if (statement_ == nullptr) return;
  if (in_use_ == nullptr) {
    sqlite3_finalize(statement_);
    return;
  }
  Reset();
  sqlite3_clear_bindings(statement_);
  *in_use_ = false;
}

Statement& Statement::Bind(int64_t value) {
  bind_error_ |= sqlite3_bind_int64(statement_, ++bound_, value);
  return *this;
}

Statement& Statement::Bind(double value) {
  bind_error_ |= sqlite3_bind_double(statement_, ++bound_, value);
  return *this;
}

Statement& Statement::Bind(std::string_view text) {
  const char* bytes = text.empty() ? "" : text.data();  // a null pointer would bind NULL
  bind_error_ |=
      sqlite3_bind_text64(statement_, ++bound_, bytes, text.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

Statement& Statement::BindBlob(std::string_view bytes) {
  const char* data = bytes.empty() ? "" : bytes.data();
  bind_error_ |= sqlite3_bind_blob64(statement_, ++bound_, data, bytes.size(), SQLITE_STATIC);
  return *this;
}

Statement& Statement::BindNull() {
  bind_error_ |= sqlite3_bind_null(statement_, ++bound_);
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  if (bind_error_ != SQLITE_OK) return database_->Error("binding a value");
  switch (sqlite3_step(statement_)) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      return database_->Error("running a statement");
  }
}

absl::Status Statement::Run() {
  TY_ASSIGN_OR_RETURN(const bool row, Step());
  if (row) return absl::InternalError("catalogue: a statement answered an unexpected row");
  Reset();
  return absl::OkStatus();
}

void Statement::Reset() {
  sqlite3_reset(statement_);
  bound_ = 0;
  bind_error_ = SQLITE_OK;
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

double Statement::Double(int column) const {
  return IsNull(column) ? std::numeric_limits<double>::quiet_NaN()
                        : sqlite3_column_double(statement_, column);
}

std::string_view Statement::Text(int column) const { return Blob(column); }

std::string_view Statement::Blob(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes),
          static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::filesystem::path& file,
                                                         Mode mode) {
  const int flags =
      SQLITE_OPEN_NOMUTEX |
      (mode == Mode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  sqlite3* handle = nullptr;
  const int result = sqlite3_open_v2(file.c_str(), &handle, flags, nullptr);
  if (handle == nullptr) return absl::ResourceExhaustedError("no memory to open the catalogue");
  std::unique_ptr<Database> database(new Database(handle));
  if (result != SQLITE_OK) return database->Error(absl::StrCat("opening '", file.string(), "'"));
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, 10'000);
  return database;
}

Database::~Database() {
  for (auto& [sql, cached] : statements_) sqlite3_finalize(cached->statement);
  sqlite3_close_v2(handle_);
}

absl::StatusOr<Statement> Database::Prepare(std::string_view sql) {
  std::unique_ptr<Cached>& cached = statements_[AbslView(sql)];
  if (cached == nullptr) cached = std::make_unique<Cached>();
  if (cached->in_use) return PrepareOnce(sql);
  if (cached->statement == nullptr &&
      sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &cached->statement, nullptr) != SQLITE_OK) {
    return Error("preparing a statement");
  }
  return Statement(this, cached->statement, &cached->in_use);
}

absl::StatusOr<Statement> Database::PrepareOnce(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()), 0, &statement,
                         nullptr) != SQLITE_OK) {
    return Error("preparing a statement");
  }
  return Statement(this, statement, nullptr);
}

absl::Status Database::Run(std::string_view sql) {
  TY_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  return statement.Run();
}

absl::Status Database::Execute(std::string_view sql) {
  if (sqlite3_exec(handle_, std::string(sql).c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return Error("running a statement");
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Database::QueryInt(std::string_view sql) {
  TY_ASSIGN_OR_RETURN(Statement statement, PrepareOnce(sql));
  TY_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return absl::InternalError("catalogue: a query answered no row");
  return statement.Int(0);
}

int64_t Database::last_insert_row() const { return sqlite3_last_insert_rowid(handle_); }
int64_t Database::changes() const { return sqlite3_changes64(handle_); }
bool Database::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

absl::Status Database::Error(std::string_view doing) const {
  const int extended = sqlite3_extended_errcode(handle_);
  return absl::Status(CodeOf(extended, sqlite3_system_errno(handle_)),
                      absl::StrCat("catalogue: ", AbslView(doing), ": ", sqlite3_errmsg(handle_),
                                   " (SQLite ", extended, ")"));
}

}  // namespace trainyard
