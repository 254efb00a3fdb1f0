// Connections that read the catalogue.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "server/storage/sqlite.h"

namespace trainyard {

// At most `size` connections, opened when they are needed first. Thread-safe.
class ReaderPool {
 public:
  ReaderPool(std::filesystem::path file, int size) : file_(std::move(file)), free_places_(size) {}

  // A connection inside a read transaction: all reads see the same committed state. Goes back to
  // the pool when destroyed.
  class Lease {
   public:
    Lease(ReaderPool* pool, std::unique_ptr<Database> database)
        : pool_(pool), database_(std::move(database)) {}
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    Database& operator*() const { return *database_; }

   private:
    ReaderPool* pool_;
    std::unique_ptr<Database> database_;
  };
  // Waits while all connections are in use.
  absl::StatusOr<Lease> Acquire();

 private:
  absl::StatusOr<std::unique_ptr<Database>> Take();
  void Return(std::unique_ptr<Database> database);

  const std::filesystem::path file_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Database>> idle_ ABSL_GUARDED_BY(mutex_);
  int free_places_ ABSL_GUARDED_BY(mutex_);  // connections that are neither idle nor in use
};

}  // namespace trainyard
