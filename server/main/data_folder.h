// The folder of a server's store: its layout, and the lock that keeps it for one server.
#pragma once

#include <filesystem>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace trainyard {

// Where things lie in a store.
struct DataFolder {
  std::filesystem::path root;

  std::filesystem::path catalogue() const { return root / "catalogue.db"; }
  std::filesystem::path blobs() const { return root / "blobs"; }
  std::filesystem::path cache() const { return root / "cache"; }
  std::filesystem::path models() const { return root / "models"; }
  std::filesystem::path workers() const { return root / "workers"; }
};

// The lock of a store; given back when destroyed or when the process ends, however it ends.
class DataFolderLock {
 public:
  // Creates the folder if need be. FAILED_PRECONDITION when another server uses it,
  // PERMISSION_DENIED and others when it cannot be used.
  static absl::StatusOr<std::unique_ptr<DataFolderLock>> Take(const DataFolder& folder);
  ~DataFolderLock();
  DataFolderLock(const DataFolderLock&) = delete;
  DataFolderLock& operator=(const DataFolderLock&) = delete;

 private:
  explicit DataFolderLock(int descriptor) : descriptor_(descriptor) {}
  const int descriptor_;
};

// Path of the Unix socket for a store's workers: in the store, or, where that path would be longer
// than a socket's may be, in a private folder of the user. The same for every run of a store, so
// that workers find the next server.
absl::StatusOr<std::filesystem::path> WorkerSocket(const DataFolder& folder);

}  // namespace trainyard
