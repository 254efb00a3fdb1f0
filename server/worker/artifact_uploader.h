// Sends model files and checkpoints, again and again until they are stored.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "server/worker/server_connection.h"

namespace trainyard {

// Thread-safe.
class ArtifactUploader {
 public:
  struct Options {
    std::string attempt;
    std::string session_key;
    // Asked before each try, each chunk and in pauses; not OK ends the upload with that status.
    std::function<absl::Status()> check_cancelled;
    // Tries go on for so long while the server cannot be reached.
    absl::Duration give_up_after = absl::Minutes(10);
    absl::Duration first_pause = absl::Milliseconds(50);  // doubled after each try
    absl::Duration longest_pause = absl::Seconds(2);
    Clock* clock = &Clock::Real();
  };
  ArtifactUploader(const Options& options, ServerConnection& connection)
      : options_(options), connection_(connection) {}

  // Returns when the bytes are on the server's disk. UNAVAILABLE when the server could not be
  // reached, the server's error when it refused; a disk that is full there is tried again a few
  // times first.
  absl::Status UploadCheckpoint(int64_t step, std::string_view state) const;

  // Uploads the files in `folder`, at any depth, but for those that are small enough to travel with
  // the end (small_models.h): these are returned. Both in the order of their paths.
  absl::StatusOr<std::vector<v1::SmallModelFile>> UploadModelFolder(
      const std::filesystem::path& folder) const;

 private:
  absl::Status UploadFile(const std::filesystem::path& folder,
                          const std::filesystem::path& file) const;
  absl::Status Upload(v1::ArtifactHeader header, const ByteSource& source) const;
  absl::Status Pause(absl::Duration duration) const;

  const Options options_;
  ServerConnection& connection_;
};

}  // namespace trainyard
