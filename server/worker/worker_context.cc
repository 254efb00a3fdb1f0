#include "server/worker/worker_context.h"

#include <algorithm>

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "server/execution/local/small_files.h"
#include "server/worker/crash_report.h"

namespace trainyard {
namespace {

constexpr size_t kMaxLogBytes = size_t{16} * 1024;

// At most kMaxLogBytes of valid UTF-8, not cut within a character.
std::string CutLogText(std::string_view text) {
  std::string valid = ToValidUtf8(text.substr(0, kMaxLogBytes + 4));
  if (valid.size() <= kMaxLogBytes) return valid;
  size_t end = kMaxLogBytes;
  while (end > 0 && (valid[end] & 0xC0) == 0x80) --end;
  valid.resize(end);
  return valid;
}

}  // namespace

WorkerContext::WorkerContext(const v1::Assignment& assignment, std::filesystem::path model_folder,
                             const Dependencies& dependencies)
    : dependencies_(dependencies),
      model_folder_(std::move(model_folder)),
      checkpoint_path_(assignment.checkpoint_path()),
      models_(assignment.models().begin(), assignment.models().end()),
      threads_(std::max(1, assignment.resources().cpu_threads())),
      gpus_(assignment.resources().gpus()),
      attempt_(assignment.attempt()),
      estimator_(dependencies.clock->Monotonic()) {}

absl::StatusOr<InputModel> WorkerContext::FindModel(std::string_view name) {
  for (const v1::AssignedModel& assigned : models_) {
    if (assigned.name() != name) continue;
    InputModel model;
    model.manifest = assigned.manifest();
    model.files.insert(assigned.files().begin(), assigned.files().end());
    return model;
  }
  return TrainingContext::FindModel(name);
}

void WorkerContext::ReportProgress(const v1::Progress& progress) {
  SetCrashPhase(progress.phase(), progress.step());
  v1::Progress complete = progress;
  MutexLock lock(&mutex_);
  estimator_.Complete(dependencies_.clock->Monotonic(), complete);
  dependencies_.events->SetProgress(complete);
}

void WorkerContext::ReportMetrics(int64_t step,
                                  const std::vector<std::pair<std::string, double>>& values) {
  dependencies_.events->AddMetrics(step, values);
}

void WorkerContext::Log(v1::LogLine::Severity severity, std::string_view text) {
  v1::JobEvent event;
  event.mutable_log()->set_severity(severity);
  event.mutable_log()->set_text(CutLogText(text));
  dependencies_.events->Add(std::move(event));
}

absl::Status WorkerContext::CheckCancelled() {
  if (!dependencies_.cancelled->load(std::memory_order_relaxed)) return absl::OkStatus();
  return absl::CancelledError("the job is being cancelled");
}

absl::Status WorkerContext::SaveCheckpoint(int64_t step, std::string_view state) {
  return dependencies_.uploader->UploadCheckpoint(step, state);
}

absl::StatusOr<std::optional<std::string>> WorkerContext::LoadCheckpoint() {
  if (checkpoint_path_.empty()) return std::nullopt;
  TY_ASSIGN_OR_RETURN(std::string state, ReadFile(checkpoint_path_));
  return state;
}

}  // namespace trainyard
