#include "server/execution/local/attempt_folder.h"

#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/execution/local/small_files.h"

namespace trainyard {
namespace {

absl::Status MakePrivateFolder(const std::filesystem::path& folder) {
  if (mkdir(folder.c_str(), 0700) == 0) return absl::OkStatus();
  return SystemError(errno, absl::StrCat("create folder ", folder.string()));
}

}  // namespace

absl::Status AttemptFolder::Create() const {
  TY_RETURN_IF_ERROR(MakePrivateFolder(path_));
  return MakePrivateFolder(scratch());
}

void AttemptFolder::Remove() const {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace trainyard
