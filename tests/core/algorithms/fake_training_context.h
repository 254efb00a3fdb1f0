// A TrainingContext that keeps what it is told and can cancel, for the tests of algorithms.
#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/mutex.h"
#include "core/training/training_context.h"
#include "gtest/gtest.h"

namespace trainyard {

class FakeTrainingContext final : public TrainingContext {
 public:
  explicit FakeTrainingContext(int threads = 2) : threads_(threads) {
    static std::atomic<int> number = 0;
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("model_" + std::to_string(getpid()) + "_" + std::to_string(number++));
    std::filesystem::create_directories(folder_);
  }
  ~FakeTrainingContext() override { std::filesystem::remove_all(folder_); }

  void ReportProgress(const v1::Progress& report) override {
    MutexLock lock(&mutex_);
    progress.push_back(report);
  }
  void ReportMetrics(int64_t step,
                     const std::vector<std::pair<std::string, double>>& values) override {
    MutexLock lock(&mutex_);
    for (const auto& [name, value] : values) metrics[name].emplace_back(step, value);
  }
  void Log(v1::LogLine::Severity severity, std::string_view text) override {
    MutexLock lock(&mutex_);
    logs.emplace_back(severity, std::string(text));
  }
  absl::Status CheckCancelled() override {
    return checks++ >= cancel_at ? absl::CancelledError("cancelled by the test") : absl::OkStatus();
  }
  absl::Status SaveCheckpoint(int64_t step, std::string_view state) override {
    checkpoint = std::string(state);
    if (keep_checkpoints) checkpoints.emplace_back(state);
    checkpoint_steps.push_back(step);
    if (static_cast<int64_t>(checkpoint_steps.size()) == die_at_save) {
      return absl::UnavailableError("died");
    }
    return step == die_at_checkpoint ? absl::UnavailableError("died") : absl::OkStatus();
  }
  absl::StatusOr<std::optional<std::string>> LoadCheckpoint() override { return checkpoint; }
  absl::StatusOr<InputModel> FindModel(std::string_view name) override {
    const auto at = models.find(std::string(name));
    return at == models.end() ? TrainingContext::FindModel(name) : at->second;
  }
  const std::filesystem::path& model_folder() const override { return folder_; }
  int threads() const override { return threads_; }
  int attempt() const override { return 1; }

  std::vector<v1::Progress> progress;
  std::map<std::string, std::vector<std::pair<int64_t, double>>> metrics;
  std::vector<std::pair<v1::LogLine::Severity, std::string>> logs;
  std::optional<std::string> checkpoint;
  bool keep_checkpoints = false;
  std::vector<std::string> checkpoints;  // all, where they are kept
  std::vector<int64_t> checkpoint_steps;
  std::atomic<int64_t> checks = 0;
  int64_t cancel_at = int64_t{1} << 60;
  int64_t die_at_checkpoint = -1;  // its step
  int64_t die_at_save = -1;        // number of the save, from 1
  std::map<std::string, InputModel> models;

 private:
  const int threads_;
  std::filesystem::path folder_;
  Mutex mutex_;
};

}  // namespace trainyard
