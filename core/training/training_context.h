// What a running training may ask of the outside world.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainyard/v1/job.pb.h"
#include "trainyard/v1/model.pb.h"

namespace trainyard {

// A model of the service that a job takes as input.
struct InputModel {
  v1::ModelManifest manifest;
  // Path of each file on this machine, by its path in the model folder.
  std::map<std::string, std::filesystem::path> files;
};

// The link between an algorithm and whoever runs it. All methods may be called from any thread,
// return quickly, and never fail because nobody listens.
class TrainingContext {
 public:
  virtual ~TrainingContext() = default;

  // How far the job is. Calls more often than about 20 a second are merged, the newest wins.
  // `steps_per_second` and `seconds_left` are filled in when they are zero.
  virtual void ReportProgress(const v1::Progress& progress) = 0;

  // Values measured at `step`. Every point is kept.
  virtual void ReportMetrics(int64_t step,
                             const std::vector<std::pair<std::string, double>>& values) = 0;

  // A line for people.
  virtual void Log(v1::LogLine::Severity severity, std::string_view text) = 0;

  // OK while the training is to go on, else CANCELLED. Cheap: one atomic load. Algorithms ask at
  // least every 50 ms and pass the status up.
  virtual absl::Status CheckCancelled() = 0;

  // Stores `state` so that a later attempt can go on from it; replaces the checkpoint before. The
  // step is for people. Returns when the checkpoint is safe.
  virtual absl::Status SaveCheckpoint(int64_t step, std::string_view state) = 0;

  // The newest checkpoint of an earlier attempt, or nullopt for a fresh start.
  virtual absl::StatusOr<std::optional<std::string>> LoadCheckpoint() = 0;

  // A model that the spec names (a field whose rule says `resource: "model"`), by that name.
  // NOT_FOUND where it is not at hand.
  virtual absl::StatusOr<InputModel> FindModel(std::string_view name) {
    return absl::NotFoundError("the model \"" + std::string(name) + "\" is not at hand");
  }

  // Folder, empty at first, that the algorithm writes the model's files into.
  virtual const std::filesystem::path& model_folder() const = 0;

  // Threads that the job may use, at least 1.
  virtual int threads() const = 0;

  // GPUs that the job has to itself: the CUDA devices 0, 1, …. 0: it runs on the CPU.
  virtual int gpus() const { return 0; }

  // Number of this attempt, from 1.
  virtual int attempt() const = 0;
};

}  // namespace trainyard
