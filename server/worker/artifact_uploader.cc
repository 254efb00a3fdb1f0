#include "server/worker/artifact_uploader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "server/execution/local/small_files.h"
#include "server/execution/local/unique_fd.h"
#include "server/execution/small_models.h"

namespace trainyard {
namespace {

namespace fs = std::filesystem;

// Tries after an answer that is not likely to change.
constexpr int kTriesAfterAnswer = 3;
constexpr absl::Duration kCheckInterval = absl::Milliseconds(20);

enum class Failure { kFinal, kAnswered, kUnreachable };

Failure Classify(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
      return Failure::kUnreachable;
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kOutOfRange:
      return Failure::kAnswered;
    default:
      return Failure::kFinal;
  }
}

}  // namespace

absl::Status ArtifactUploader::Pause(absl::Duration duration) const {
  while (duration > absl::ZeroDuration()) {
    TY_RETURN_IF_ERROR(options_.check_cancelled());
    const absl::Duration step = std::min(duration, kCheckInterval);
    absl::SleepFor(step);
    duration -= step;
  }
  return absl::OkStatus();
}

absl::Status ArtifactUploader::Upload(v1::ArtifactHeader header, const ByteSource& source) const {
  header.set_attempt(options_.attempt);
  header.set_session_key(options_.session_key);
  const absl::Duration start = options_.clock->Monotonic();
  absl::Duration pause = options_.first_pause;
  // An error of the source itself is not worth another try.
  absl::Status source_status;
  const ByteSource checked = [&](int64_t offset, int64_t max_bytes) -> absl::StatusOr<std::string> {
    source_status = options_.check_cancelled();
    if (!source_status.ok()) return source_status;
    auto bytes = source(offset, max_bytes);
    source_status = bytes.status();
    return bytes;
  };
  for (int answers = 0;;) {
    TY_RETURN_IF_ERROR(options_.check_cancelled());
    absl::Status status = connection_.UploadArtifact(header, checked).status();
    if (status.ok()) return status;
    TY_RETURN_IF_ERROR(source_status);
    const Failure failure = Classify(status);
    if (failure == Failure::kFinal) return status;
    if (failure == Failure::kAnswered && ++answers == kTriesAfterAnswer) return status;
    if (options_.clock->Monotonic() + pause - start > options_.give_up_after) {
      return absl::UnavailableError(status.message());
    }
    TY_RETURN_IF_ERROR(Pause(pause));
    pause = std::min(2 * pause, options_.longest_pause);
  }
}

absl::Status ArtifactUploader::UploadCheckpoint(int64_t step, std::string_view state) const {
  v1::ArtifactHeader header;
  header.set_kind(v1::ArtifactHeader::KIND_CHECKPOINT);
  header.set_step(step);
  header.set_size_bytes(static_cast<int64_t>(state.size()));
  const absl::Status status =
      Upload(header, [state](int64_t offset, int64_t max_bytes) -> absl::StatusOr<std::string> {
        return std::string(
            state.substr(static_cast<size_t>(offset), static_cast<size_t>(max_bytes)));
      });
  return AddContext(status, absl::StrCat("checkpoint of step ", step));
}

absl::Status ArtifactUploader::UploadFile(const fs::path& folder, const fs::path& file) const {
  const UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info;
  if (!fd.valid() || fstat(fd.get(), &info) != 0) {
    return SystemError(errno, absl::StrCat("open ", file.string()));
  }
  v1::ArtifactHeader header;
  header.set_kind(v1::ArtifactHeader::KIND_MODEL_FILE);
  header.set_path(file.lexically_relative(folder).generic_string());
  header.set_size_bytes(info.st_size);
  const auto read_at = [&](int64_t offset, int64_t max_bytes) -> absl::StatusOr<std::string> {
    std::string bytes(static_cast<size_t>(max_bytes), '\0');
    const ssize_t count = pread(fd.get(), bytes.data(), bytes.size(), offset);
    if (count < 0) return SystemError(errno, absl::StrCat("read ", file.string()));
    if (count == 0) return absl::InternalError(absl::StrCat(file.string(), " became shorter"));
    bytes.resize(static_cast<size_t>(count));
    return bytes;
  };
  return AddContext(Upload(header, read_at), absl::StrCat("model file ", header.path()));
}

absl::StatusOr<std::vector<v1::SmallModelFile>> ArtifactUploader::UploadModelFolder(
    const fs::path& folder) const {
  TY_RETURN_IF_ERROR(options_.check_cancelled());
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  if (error) return absl::InternalError(absl::StrCat(folder.string(), ": ", error.message()));
  std::sort(files.begin(), files.end());
  std::vector<v1::SmallModelFile> small;
  int64_t left = kMaxSmallFileBytes;
  for (const fs::path& file : files) {
    const auto size = static_cast<int64_t>(fs::file_size(file, error));
    if (error) return absl::InternalError(absl::StrCat(file.string(), ": ", error.message()));
    if (size > left) {
      TY_RETURN_IF_ERROR(UploadFile(folder, file));
      continue;
    }
    TY_ASSIGN_OR_RETURN(std::string data, ReadFile(file));
    left -= static_cast<int64_t>(data.size());
    v1::SmallModelFile& added = small.emplace_back();
    added.set_path(file.lexically_relative(folder).generic_string());
    added.set_data(std::move(data));
  }
  return small;
}

}  // namespace trainyard
