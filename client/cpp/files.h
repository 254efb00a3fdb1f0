// Files that are written as a whole or not at all.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace trainyard {

// Reason (see WithReason) of errors about files on this machine, as opposed to the server's
// answers.
inline constexpr std::string_view kLocalFileReason = "LOCAL_FILE";

// An error about the file `path` on this machine with the reason LOCAL_FILE: what was tried and the
// system's text for `error_number`.
absl::Status LocalFileError(std::string_view action, std::string_view path, int error_number);

// OK when `path` is a plain relative path that stays inside the folder it is joined to: not empty,
// `/` between non-empty parts, no part `.` or `..`, no backslash or NUL, no part over 255 bytes.
// Else INVALID_ARGUMENT that quotes the path.
absl::Status CheckRelativePath(std::string_view path);

// An open regular file.
class InputFile {
 public:
  // NOT_FOUND, PERMISSION_DENIED and so on with the path; INVALID_ARGUMENT when it is no regular
  // file.
  static absl::StatusOr<InputFile> Open(const std::string& path);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;
  ~InputFile();

  // Size when it was opened, in bytes.
  int64_t size() const { return size_; }

  // Fills `buffer` with up to its size of bytes from `offset`; shrinks it to what there is.
  absl::Status Read(int64_t offset, std::string& buffer) const;

 private:
  InputFile(std::string path, int descriptor, int64_t size);

  std::string path_;
  int descriptor_;
  int64_t size_;
};

// Writes a file beside its destination under a temporary name; Commit moves it there. Without
// Commit nothing stays. Not thread-safe.
class AtomicFile {
 public:
  // `path` may exist; it is replaced by Commit.
  static absl::StatusOr<std::unique_ptr<AtomicFile>> Create(const std::string& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  absl::Status Write(std::string_view data);
  // Drops everything written so far.
  absl::Status Truncate();
  // Makes the content durable and visible at its destination.
  absl::Status Commit();

 private:
  AtomicFile(std::string path, std::string temporary, int descriptor);

  std::string path_;
  std::string temporary_;
  int descriptor_;
};

// A folder that is filled under a temporary name and then moved to its destination. Without Commit
// nothing stays. Not thread-safe.
class AtomicFolder {
 public:
  // ALREADY_EXISTS when `path` exists, is no empty folder, and `replace` is false.
  static absl::StatusOr<std::unique_ptr<AtomicFolder>> Create(const std::string& path,
                                                              bool replace);
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;
  ~AtomicFolder();

  // Opens a file at a checked relative path, making the folders above it. The file is part of the
  // folder once it is committed itself.
  absl::StatusOr<std::unique_ptr<AtomicFile>> CreateFile(std::string_view relative_path);
  // Removes everything written so far.
  absl::Status Clear();
  // Moves the folder to its destination.
  absl::Status Commit();

 private:
  AtomicFolder(std::string path, std::string temporary, bool replace);

  std::string path_;
  std::string temporary_;
  bool replace_;
};

}  // namespace trainyard
