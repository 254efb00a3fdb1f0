// Bytes by their SHA-256, one file each: `blobs/ab/abcdef…`. A blob is visible only when it is
// whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"

namespace trainyard {

struct BlobInfo {
  std::string sha256;  // 64 lower-case hexadecimal digits
  int64_t size_bytes = 0;
};

// A blob being written, in a temporary file that is removed unless Commit succeeds. Not
// thread-safe.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  // RESOURCE_EXHAUSTED when the disk is full.
  virtual absl::Status Append(std::string_view bytes) = 0;
  virtual int64_t size_bytes() const = 0;
  // Where the bytes lie until Commit; complete after Flush.
  virtual const std::filesystem::path& temporary_file() const = 0;
  virtual absl::Status Flush() = 0;
  // SHA-256 of what was appended so far.
  virtual std::string Sha256() const = 0;
  // Fsyncs, renames to its name, fsyncs the folder. Content that is there already is kept once.
  virtual absl::StatusOr<BlobInfo> Commit() = 0;
};

// The store. Thread-safe.
class BlobStore {
 public:
  // Creates the folders and removes temporary files of an earlier run.
  static absl::StatusOr<std::unique_ptr<BlobStore>> Open(const std::filesystem::path& root,
                                                         FileSystem& file_system);
  virtual ~BlobStore() = default;

  // `expected_bytes` is reserved on the disk first, so that a full disk is known before the
  // transfer; 0 when unknown.
  virtual absl::StatusOr<std::unique_ptr<BlobWriter>> Create(int64_t expected_bytes) = 0;
  // Path of a blob. NOT_FOUND when there is none.
  virtual absl::StatusOr<std::filesystem::path> PathOf(std::string_view sha256) const = 0;
  // Keeps a blob from being collected while it is held, for example between Commit and the
  // catalogue write that refers to it. BlobWriter::Commit holds what it made for as long as the
  // writer lives.
  virtual std::shared_ptr<void> Hold(std::string_view sha256) = 0;
  // Removes every blob for which `referenced` is false and that nobody holds or has held since the
  // call began. Returns the number. `referenced` may read the references once, at its first call.
  virtual absl::StatusOr<int64_t> Collect(
      const std::function<bool(std::string_view sha256)>& referenced) = 0;
  virtual absl::StatusOr<std::vector<BlobInfo>> List() const = 0;
  // Reads the blob and compares its hash. DATA_LOSS when it differs, NOT_FOUND when it is absent.
  virtual absl::Status Verify(std::string_view sha256) const = 0;
};

}  // namespace trainyard
