// Files as a dependency, so that tests can make any operation fail.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace trainyard {

// A file open for appending. Not thread-safe. Closed by the destructor.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  // A large file is written in the background: an error may be answered by a later call only.
  virtual absl::Status Append(std::string_view bytes) = 0;
  // Returns when everything appended is on the disk.
  virtual absl::Status Sync() = 0;
  virtual absl::Status Close() = 0;
};

// The file operations that durable storage is made of. Thread-safe. Errors: NOT_FOUND,
// ALREADY_EXISTS, PERMISSION_DENIED, RESOURCE_EXHAUSTED (disk or quota full), else UNAVAILABLE; the
// message names operation, path and the system's text.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // Creates the file; ALREADY_EXISTS when it is there. `reserve_bytes` are allocated at once.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::filesystem::path& file,
                                                               int64_t reserve_bytes) = 0;
  virtual absl::Status Rename(const std::filesystem::path& from,
                              const std::filesystem::path& to) = 0;
  virtual absl::Status Remove(const std::filesystem::path& file) = 0;
  virtual absl::Status SyncFolder(const std::filesystem::path& folder) = 0;
  virtual absl::Status CreateFolders(const std::filesystem::path& folder) = 0;
  virtual absl::StatusOr<std::vector<std::filesystem::path>> List(
      const std::filesystem::path& folder) = 0;
  virtual absl::StatusOr<int64_t> SizeOf(const std::filesystem::path& file) = 0;

  // The machine's file system; lives for ever.
  static FileSystem& Real();
};

// The whole file.
absl::StatusOr<std::string> ReadFile(const std::filesystem::path& file);

// Writes `bytes` under a temporary name, fsyncs, renames to `file`, fsyncs the folder.
absl::Status WriteFileAtomically(FileSystem& file_system, const std::filesystem::path& file,
                                 std::string_view bytes);

}  // namespace trainyard
