#include "core/base/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/direct_file.h"
#include "core/base/secret.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::StatusCode::kNotFound;
    case EEXIST:
    case ENOTEMPTY:
      return absl::StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return absl::StatusCode::kResourceExhausted;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

// Files of at least so many bytes are written past the page cache: filling it costs more than the
// disk, and fsync then has all of it to write.
constexpr int64_t kDirectBytes = int64_t{8} << 20;

constexpr size_t kSmallestPiece = size_t{4} << 10;  // of a file read
constexpr size_t kLargestPiece = size_t{1} << 20;

class RealWritableFile final : public WritableFile {
 public:
  RealWritableFile(std::filesystem::path path, int descriptor, bool reserved)
      : path_(std::move(path)), descriptor_(descriptor), reserved_(reserved) {}
  ~RealWritableFile() override {
    if (descriptor_ >= 0) close(descriptor_);
  }

  absl::Status Append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
      if (written < 0) {
        if (errno == EINTR) continue;
        return FileError("writing", path_, errno);
      }
      size_ += written;
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    TY_RETURN_IF_ERROR(DropReservation());
    if (fsync(descriptor_) != 0) return FileError("syncing", path_, errno);
    return absl::OkStatus();
  }

  absl::Status Close() override {
    TY_RETURN_IF_ERROR(DropReservation());
    if (close(std::exchange(descriptor_, -1)) != 0) return FileError("closing", path_, errno);
    return absl::OkStatus();
  }

 private:
  // Gives back what was allocated beyond the bytes written.
  absl::Status DropReservation() {
    if (!std::exchange(reserved_, false)) return absl::OkStatus();
    if (ftruncate(descriptor_, size_) != 0) return FileError("truncating", path_, errno);
    return absl::OkStatus();
  }

  const std::filesystem::path path_;
  int descriptor_;
  bool reserved_;
  off_t size_ = 0;
};

class RealFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::filesystem::path& file,
                                                       int64_t reserve_bytes) override {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    bool direct = reserve_bytes >= kDirectBytes;
    int descriptor = open(file.c_str(), kFlags | (direct ? O_DIRECT : 0), 0600);
    if (descriptor < 0 && errno == EINVAL && direct) {
      direct = false;  // a file system without that; some have created the file all the same
      unlink(file.c_str());
      descriptor = open(file.c_str(), kFlags, 0600);
    }
    if (descriptor < 0) return FileError("creating", file, errno);
    bool reserved = false;
    if (reserve_bytes > 0) {
      // Direct writes within the size of the file are quicker than those that extend it.
      const int mode = direct ? 0 : FALLOC_FL_KEEP_SIZE;
      const int error = fallocate(descriptor, mode, 0, reserve_bytes) == 0 ? 0 : errno;
      // Some file systems cannot reserve; they find out while writing.
      if (error != 0 && error != EOPNOTSUPP && error != ENOSYS && error != EINVAL) {
        close(descriptor);
        unlink(file.c_str());
        return FileError(absl::StrCat("reserving ", reserve_bytes, " bytes for"), file, error);
      }
      reserved = error == 0;
    }
    if (direct) return MakeDirectFile(file, descriptor, reserved);
    return std::make_unique<RealWritableFile>(file, descriptor, reserved);
  }

  absl::Status Rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    if (rename(from.c_str(), to.c_str()) != 0) {
      return FileError(absl::StrCat("renaming ", from.string(), " to"), to, errno);
    }
    return absl::OkStatus();
  }

  absl::Status Remove(const std::filesystem::path& file) override {
    if (unlink(file.c_str()) != 0) return FileError("removing", file, errno);
    return absl::OkStatus();
  }

  absl::Status SyncFolder(const std::filesystem::path& folder) override {
    const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return FileError("opening folder", folder, errno);
    const int error = fsync(descriptor) == 0 ? 0 : errno;
    close(descriptor);
    return error == 0 ? absl::OkStatus() : FileError("syncing folder", folder, error);
  }

  absl::Status CreateFolders(const std::filesystem::path& folder) override {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    return error ? FileError("creating folder", folder, error.value()) : absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::filesystem::path>> List(
      const std::filesystem::path& folder) override {
    std::error_code error;
    std::vector<std::filesystem::path> entries;
    std::filesystem::directory_iterator at(folder, error);
    while (!error && at != std::filesystem::directory_iterator()) {
      entries.push_back(at->path());
      at.increment(error);
    }
    if (error) return FileError("listing", folder, error.value());
    return entries;
  }

  absl::StatusOr<int64_t> SizeOf(const std::filesystem::path& file) override {
    std::error_code error;
    const uintmax_t size = std::filesystem::file_size(file, error);
    if (error) return FileError("looking at", file, error.value());
    return static_cast<int64_t>(size);
  }
};

}  // namespace

absl::Status FileError(absl::string_view operation, const std::filesystem::path& path, int error) {
  return absl::Status(CodeOf(error), absl::StrCat(operation, " ", path.string(), ": ",
                                                  std::generic_category().message(error)));
}

FileSystem& FileSystem::Real() {
  static RealFileSystem* const kFileSystem = new RealFileSystem();
  return *kFileSystem;
}

absl::StatusOr<std::string> ReadFile(const std::filesystem::path& file) {
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return FileError("opening", file, errno);
  struct stat info = {};
  const size_t expected = fstat(descriptor, &info) == 0 ? static_cast<size_t>(info.st_size) : 0;
  std::string bytes;
  while (true) {
    const size_t done = bytes.size();
    // A byte more than is expected tells the end. Larger pieces would be zeroed for nothing.
    const size_t left = expected > done ? expected - done : 0;
    const size_t piece = std::clamp(left + 1, kSmallestPiece, kLargestPiece);
    bytes.resize(done + piece);
    const ssize_t got = read(descriptor, bytes.data() + done, piece);
    const int error = errno;
    bytes.resize(done + static_cast<size_t>(got > 0 ? got : 0));
    if (got > 0 || (got < 0 && error == EINTR)) continue;
    close(descriptor);
    if (got < 0) return FileError("reading", file, error);
    return bytes;
  }
}

absl::Status WriteFileAtomically(FileSystem& file_system, const std::filesystem::path& file,
                                 std::string_view bytes) {
  std::filesystem::path temporary = file;
  temporary += absl::StrCat(".", RandomHexToken(6), ".tmp");
  absl::Status written = [&]() -> absl::Status {
    TY_ASSIGN_OR_RETURN(auto writer,
                        file_system.Create(temporary, static_cast<int64_t>(bytes.size())));
    TY_RETURN_IF_ERROR(writer->Append(bytes));
    TY_RETURN_IF_ERROR(writer->Sync());
    TY_RETURN_IF_ERROR(writer->Close());
    return file_system.Rename(temporary, file);
  }();
  if (!written.ok()) {
    (void)file_system.Remove(temporary);
    return written;
  }
  return file_system.SyncFolder(file.has_parent_path() ? file.parent_path() : ".");
}

}  // namespace trainyard
