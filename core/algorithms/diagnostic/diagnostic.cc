#include "core/algorithms/diagnostic/diagnostic.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/algorithms/diagnostic/fault_hooks.h"
#include "core/algorithms/diagnostic/faults.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

constexpr absl::Duration kCancellationCheckInterval = absl::Milliseconds(20);
constexpr char kModelFile[] = "model.bin";

// One run of Train.
class DiagnosticRun {
 public:
  DiagnosticRun(const v1::DiagnosticSpec& spec, TrainingContext& context)
      : spec_(spec), context_(context) {}

  absl::StatusOr<TrainingResult> Run() {
    Allocate();
    if (!StartStrayProcesses(spec_.stray_processes())) {
      return absl::ResourceExhaustedError("stray processes could not be started");
    }
    TY_RETURN_IF_ERROR(Resume());
    for (int64_t step = done_.steps() + 1; step <= spec_.steps(); ++step) {
      TY_RETURN_IF_ERROR(Step(step));
    }
    return Finish();
  }

 private:
  absl::Status CheckCancelled() {
    return spec_.ignore_cancellation() ? absl::OkStatus() : context_.CheckCancelled();
  }

  void Allocate() {
    const auto size = static_cast<size_t>(spec_.allocate_bytes());
    if (size == 0) return;
    allocated_ = std::make_unique_for_overwrite<char[]>(size);
    std::memset(allocated_.get(), 1, size);
  }

  absl::Status Resume() {
    TY_ASSIGN_OR_RETURN(const std::optional<std::string> checkpoint, context_.LoadCheckpoint());
    if (!checkpoint.has_value()) return absl::OkStatus();
    if (!done_.ParseFromString(*checkpoint)) {
      return absl::DataLossError("checkpoint: its bytes are no DiagnosticReport");
    }
    done_.set_first_step(done_.steps() + 1);
    return absl::OkStatus();
  }

  absl::Status Sleep() {
    const absl::Time end = absl::Now() + absl::Seconds(spec_.step_seconds());
    while (true) {
      TY_RETURN_IF_ERROR(CheckCancelled());
      const absl::Duration left = end - absl::Now();
      if (left <= absl::ZeroDuration()) return absl::OkStatus();
      absl::SleepFor(std::min(left, kCancellationCheckInterval));
    }
  }

  absl::Status Step(int64_t step) {
    TY_RETURN_IF_ERROR(Sleep());
    const double value = static_cast<double>(step) * static_cast<double>(step);
    context_.ReportMetrics(step, {{"step_value", value}});
    for (int line = 0; line < spec_.log_lines_per_step(); ++line) {
      context_.Log(v1::LogLine::SEVERITY_INFO, absl::StrCat("step ", step, ", line ", line + 1));
    }
    done_.set_steps(step);
    done_.set_checksum(done_.checksum() + value);
    v1::Progress progress;
    progress.set_phase("steps");
    progress.set_step(step);
    progress.set_step_count(spec_.steps());
    progress.set_unit("steps");
    progress.set_fraction(static_cast<double>(step) / static_cast<double>(spec_.steps()));
    context_.ReportProgress(progress);
    const int64_t every = spec_.checkpoint_every_steps();
    if (every > 0 && step % every == 0) {
      return context_.SaveCheckpoint(step, done_.SerializeAsString());
    }
    return absl::OkStatus();
  }

  absl::StatusOr<TrainingResult> Finish() {
    if (!spec_.stderr_text().empty()) {
      const std::string text = absl::StrCat(spec_.stderr_text(), "\n");
      [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, text.data(), text.size());
    }
    const int32_t until = spec_.finale_until_attempt();
    if (until > 0 && context_.attempt() > until) return Succeed();
    switch (spec_.finale()) {
      case v1::DiagnosticSpec::FINALE_USER_ERROR:
        return absl::InvalidArgumentError("finale: the job was told to end with a user error");
      case v1::DiagnosticSpec::FINALE_DIVERGE:
        return absl::OutOfRangeError("finale: the job was told to diverge");
      case v1::DiagnosticSpec::FINALE_CRASH:
        Crash();
      case v1::DiagnosticSpec::FINALE_EXIT:
        _exit(spec_.exit_code());
      case v1::DiagnosticSpec::FINALE_HANG:
        Hang();
      case v1::DiagnosticSpec::FINALE_EAT_MEMORY:
        EatMemory();
        break;
      case v1::DiagnosticSpec::FINALE_WRITE_GARBAGE:
        return WriteGarbage();
      default:
        break;
    }
    return Succeed();
  }

  // Waits for what the server does about it.
  absl::Status WriteGarbage() {
    auto* hooks = dynamic_cast<FaultHooks*>(&context_);
    if (hooks == nullptr) {
      return absl::FailedPreconditionError(
          "finale: FINALE_WRITE_GARBAGE needs a connection to a server");
    }
    hooks->WriteGarbage();
    while (true) {
      TY_RETURN_IF_ERROR(CheckCancelled());
      absl::SleepFor(kCancellationCheckInterval);
    }
  }

  absl::StatusOr<TrainingResult> Succeed() {
    TY_RETURN_IF_ERROR(WriteModel());
    TrainingResult result;
    *result.report.mutable_diagnostic() = done_;
    return result;
  }

  // Byte i of the model is i modulo 251.
  absl::Status WriteModel() {
    constexpr int64_t kPeriod = 251;
    std::string block(static_cast<size_t>(std::min<int64_t>(spec_.model_bytes(), kPeriod * 4096)),
                      '\0');
    for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<char>(i % kPeriod);
    std::ofstream file(context_.model_folder() / kModelFile, std::ios::binary);
    for (int64_t left = spec_.model_bytes(); left > 0 && file;) {
      const int64_t count = std::min<int64_t>(left, static_cast<int64_t>(block.size()));
      file.write(block.data(), count);
      left -= count;
      TY_RETURN_IF_ERROR(CheckCancelled());
    }
    file.close();
    if (file) return absl::OkStatus();
    return absl::UnavailableError(
        absl::StrCat("the model file of ", spec_.model_bytes(), " bytes could not be written"));
  }

  const v1::DiagnosticSpec& spec_;
  TrainingContext& context_;
  std::unique_ptr<char[]> allocated_;
  v1::DiagnosticReport done_;
};

class Diagnostic : public Algorithm {
 public:
  std::string_view name() const override { return "diagnostic"; }
  std::string_view title() const override { return "Exercises the service; learns nothing"; }
  std::string_view citation() const override { return ""; }

  void Resolve(const TableSchemas&, std::string_view, v1::TrainingSpec&,
               Violations&) const override {}

  int64_t EstimateMemory(const v1::TrainingSpec& spec, const TableSchemas&) const override {
    return spec.diagnostic().allocate_bytes();
  }

  absl::StatusOr<TrainingResult> Train(const v1::TrainingSpec& spec, const Tables&,
                                       TrainingContext& context) const override {
    return DiagnosticRun(spec.diagnostic(), context).Run();
  }

  absl::StatusOr<std::unique_ptr<Predictor>> LoadPredictor(
      const v1::ModelManifest&, const std::filesystem::path&) const override {
    return absl::UnimplementedError("models of diagnostic jobs cannot be applied to tables");
  }
};

}  // namespace

const Algorithm& DiagnosticAlgorithm() {
  static const auto& algorithm = *new Diagnostic();
  return algorithm;
}

}  // namespace trainyard
