#include "server/main/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/sha256.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

// A folder that belongs to this user and that nobody else may enter.
absl::Status MakePrivateFolder(const std::filesystem::path& folder) {
  if (mkdir(folder.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", folder.string()));
  }
  struct stat found {};
  if (lstat(folder.c_str(), &found) != 0 || !S_ISDIR(found.st_mode) || found.st_uid != geteuid() ||
      (found.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder.string(), " must be a folder of this user that nobody else may enter (mode 0700)"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataFolderLock>> DataFolderLock::Take(const DataFolder& folder) {
  TY_RETURN_IF_ERROR(FileSystem::Real().CreateFolders(folder.root));
  const std::string file = folder.root / "lock";
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (descriptor < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", file));
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    close(descriptor);
    if (error != EWOULDBLOCK) {
      return absl::ErrnoToStatus(error, absl::StrCat("cannot lock ", file));
    }
    return absl::FailedPreconditionError(
        absl::StrCat("the store ", folder.root.string(), " is in use by another server"));
  }
  return std::unique_ptr<DataFolderLock>(new DataFolderLock(descriptor));
}

DataFolderLock::~DataFolderLock() { close(descriptor_); }

absl::StatusOr<std::filesystem::path> WorkerSocket(const DataFolder& folder) {
  std::error_code error;
  const auto root = std::filesystem::canonical(folder.root, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(),
                               absl::StrCat("cannot resolve ", folder.root.string()));
  }
  const std::filesystem::path inside = root / "workers.sock";
  if (inside.native().size() < sizeof(sockaddr_un::sun_path)) return inside;
  const std::filesystem::path private_folder = absl::StrCat("/tmp/trainyard-", geteuid());
  TY_RETURN_IF_ERROR(MakePrivateFolder(private_folder));
  return private_folder / absl::StrCat(Sha256Hex(root.native()).substr(0, 24), ".sock");
}

}  // namespace trainyard
