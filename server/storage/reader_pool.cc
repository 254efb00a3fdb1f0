#include "server/storage/reader_pool.h"

#include <utility>

#include "core/base/status.h"

namespace trainyard {

ReaderPool::Lease::~Lease() {
  if (database_ == nullptr) return;
  // A connection that cannot end its transaction is not used again.
  if (!database_->Run("COMMIT").ok()) database_ = nullptr;
  pool_->Return(std::move(database_));
}

absl::StatusOr<ReaderPool::Lease> ReaderPool::Acquire() {
  TY_ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Take());
  const absl::Status begun = database->Run("BEGIN");
  if (begun.ok()) return Lease(this, std::move(database));
  Return(nullptr);
  return begun;
}

absl::StatusOr<std::unique_ptr<Database>> ReaderPool::Take() {
  {
    MutexLock lock(&mutex_);
    const auto available = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return !idle_.empty() || free_places_ > 0;
    };
    mutex_.Await(available);
    if (!idle_.empty()) {
      std::unique_ptr<Database> database = std::move(idle_.back());
      idle_.pop_back();
      return database;
    }
    --free_places_;
  }
  absl::StatusOr<std::unique_ptr<Database>> database =
      Database::Open(file_, Database::Mode::kReadOnly);
  absl::Status status = database.status();
  if (status.ok()) {
    status = (*database)->Execute("PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY");
  }
  if (status.ok()) return database;
  Return(nullptr);
  return status;
}

void ReaderPool::Return(std::unique_ptr<Database> database) {
  MutexLock lock(&mutex_);
  if (database != nullptr) {
    idle_.push_back(std::move(database));
  } else {
    ++free_places_;
  }
}

}  // namespace trainyard
