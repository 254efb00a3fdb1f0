// The TrainingContext of a worker process.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/diagnostic/fault_hooks.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/training/training_context.h"
#include "server/worker/artifact_uploader.h"
#include "server/worker/event_buffer.h"
#include "server/worker/progress_estimator.h"
#include "trainyard/v1/worker_service.pb.h"

namespace trainyard {

// Thread-safe. ReportMetrics and Log wait while the buffer of unacknowledged events is full, see
// EventBuffer.
class WorkerContext : public TrainingContext, public FaultHooks {
 public:
  struct Dependencies {
    EventBuffer* events;
    const std::atomic<bool>* cancelled;
    const ArtifactUploader* uploader;
    std::function<void()> write_garbage;
    Clock* clock = &Clock::Real();
  };
  WorkerContext(const v1::Assignment& assignment, std::filesystem::path model_folder,
                const Dependencies& dependencies);

  void ReportProgress(const v1::Progress& progress) override;
  void ReportMetrics(int64_t step,
                     const std::vector<std::pair<std::string, double>>& values) override;
  void Log(v1::LogLine::Severity severity, std::string_view text) override;
  absl::Status CheckCancelled() override;
  absl::Status SaveCheckpoint(int64_t step, std::string_view state) override;
  absl::StatusOr<std::optional<std::string>> LoadCheckpoint() override;
  absl::StatusOr<InputModel> FindModel(std::string_view name) override;
  const std::filesystem::path& model_folder() const override { return model_folder_; }
  int threads() const override { return threads_; }
  int gpus() const override { return gpus_; }
  int attempt() const override { return attempt_; }

  void WriteGarbage() override { dependencies_.write_garbage(); }

 private:
  const Dependencies dependencies_;
  const std::filesystem::path model_folder_;
  const std::string checkpoint_path_;
  const std::vector<v1::AssignedModel> models_;
  const int threads_;
  const int gpus_;
  const int attempt_;
  Mutex mutex_;
  ProgressEstimator estimator_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trainyard
