#include "client/cpp/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cpp/status_macros.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

std::string WithoutTrailingSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

void SyncFolder(const std::string& folder) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  fsync(descriptor);
  close(descriptor);
}

}  // namespace

absl::Status LocalFileError(std::string_view action, std::string_view path, int error_number) {
  return WithReason(
      absl::ErrnoToStatus(error_number, absl::StrCat("cannot ", View(action), " ", View(path))),
      kLocalFileReason, {{"path", std::string(path)}});
}

absl::Status CheckRelativePath(std::string_view path) {
  bool good = !path.empty() && path.find('\\') == path.npos && path.find('\0') == path.npos;
  for (const absl::string_view part : absl::StrSplit(View(path), '/')) {
    good = good && !part.empty() && part != "." && part != ".." && part.size() <= 255;
  }
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the file name \"", absl::CHexEscape(View(path)),
      "\" is refused: it must be a relative path without . and .. parts and backslashes"));
}

InputFile::InputFile(std::string path, int descriptor, int64_t size)
    : path_(std::move(path)), descriptor_(descriptor), size_(size) {}
InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}
InputFile::~InputFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::StatusOr<InputFile> InputFile::Open(const std::string& path) {
  // O_NONBLOCK: opening a pipe without a writer must not hang.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return LocalFileError("open", path, errno);
  struct stat info = {};
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(descriptor);
    return WithReason(absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file")),
                      kLocalFileReason);
  }
  return InputFile(path, descriptor, info.st_size);
}

absl::Status InputFile::Read(int64_t offset, std::string& buffer) const {
  size_t filled = 0;
  while (filled < buffer.size()) {
    const ssize_t count = pread(descriptor_, buffer.data() + filled, buffer.size() - filled,
                                offset + static_cast<int64_t>(filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return LocalFileError("read", path_, errno);
    if (count == 0) break;
    filled += static_cast<size_t>(count);
  }
  buffer.resize(filled);
  return absl::OkStatus();
}

AtomicFile::AtomicFile(std::string path, std::string temporary, int descriptor)
    : path_(std::move(path)), temporary_(std::move(temporary)), descriptor_(descriptor) {}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(temporary_.c_str());
}

absl::StatusOr<std::unique_ptr<AtomicFile>> AtomicFile::Create(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return LocalFileError("write", path, EISDIR);
  }
  std::string temporary = absl::StrCat(path, ".partial-XXXXXX");
  const int descriptor = mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0) return LocalFileError("write", path, errno);
  const mode_t mask = umask(0);
  umask(mask);
  fchmod(descriptor, 0666 & ~mask);
  return std::unique_ptr<AtomicFile>(new AtomicFile(path, std::move(temporary), descriptor));
}

absl::Status AtomicFile::Write(std::string_view data) {
  while (!data.empty()) {
    const ssize_t count = write(descriptor_, data.data(), data.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return LocalFileError("write", path_, errno);
    data.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::Truncate() {
  if (ftruncate(descriptor_, 0) != 0 || lseek(descriptor_, 0, SEEK_SET) != 0) {
    return LocalFileError("truncate", path_, errno);
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::Commit() {
  if (fsync(descriptor_) != 0 || rename(temporary_.c_str(), path_.c_str()) != 0) {
    return LocalFileError("write", path_, errno);
  }
  close(std::exchange(descriptor_, -1));
  SyncFolder(FolderOf(path_));
  return absl::OkStatus();
}

AtomicFolder::AtomicFolder(std::string path, std::string temporary, bool replace)
    : path_(std::move(path)), temporary_(std::move(temporary)), replace_(replace) {}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) std::filesystem::remove_all(temporary_, ignored);
}

absl::StatusOr<std::unique_ptr<AtomicFolder>> AtomicFolder::Create(const std::string& path,
                                                                   bool replace) {
  const std::string target = WithoutTrailingSlash(path);
  std::error_code error;
  const bool taken =
      std::filesystem::exists(target, error) &&
      !(std::filesystem::is_directory(target, error) && std::filesystem::is_empty(target, error));
  if (taken && !replace) {
    return WithReason(absl::AlreadyExistsError(absl::StrCat(target, " exists and is not empty")),
                      kLocalFileReason);
  }
  std::string temporary = absl::StrCat(target, ".partial-XXXXXX");
  if (mkdtemp(temporary.data()) == nullptr) return LocalFileError("make folder", target, errno);
  chmod(temporary.c_str(), 0755);
  return std::unique_ptr<AtomicFolder>(new AtomicFolder(target, std::move(temporary), replace));
}

absl::StatusOr<std::unique_ptr<AtomicFile>> AtomicFolder::CreateFile(
    std::string_view relative_path) {
  CLIENT_RETURN_IF_ERROR(CheckRelativePath(relative_path));
  const std::string path = absl::StrCat(temporary_, "/", View(relative_path));
  std::error_code error;
  std::filesystem::create_directories(FolderOf(path), error);
  if (error) return LocalFileError("make folder", FolderOf(path), error.value());
  return AtomicFile::Create(path);
}

absl::Status AtomicFolder::Clear() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(temporary_, error)) {
    std::filesystem::remove_all(entry.path(), error);
  }
  return error ? LocalFileError("empty folder", temporary_, error.value()) : absl::OkStatus();
}

absl::Status AtomicFolder::Commit() {
  std::string old;
  if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    if (!replace_) return LocalFileError("make folder", path_, errno);
    old = temporary_ + ".old";
    if (rename(path_.c_str(), old.c_str()) != 0 || rename(temporary_.c_str(), path_.c_str()) != 0) {
      return LocalFileError("replace", path_, errno);
    }
  }
  temporary_.clear();
  std::error_code ignored;
  if (!old.empty()) std::filesystem::remove_all(old, ignored);
  SyncFolder(FolderOf(path_));
  return absl::OkStatus();
}

}  // namespace trainyard
