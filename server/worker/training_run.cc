#include "server/worker/training_run.h"

#include <unistd.h>

#include <exception>
#include <new>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/table.h"
#include "google/protobuf/util/json_util.h"
#include "server/execution/local/process_info.h"
#include "server/execution/local/small_files.h"
#include "server/execution/status_proto.h"
#include "server/worker/crash_report.h"

namespace trainyard {
namespace {

constexpr int kManifestFormatVersion = 1;

absl::StatusOr<Tables> OpenTables(const v1::Assignment& assignment) {
  Tables tables;
  for (const v1::AssignedTable& assigned : assignment.tables()) {
    auto table = OpenTableCache(assigned.path());
    if (!table.ok()) {
      return AddContext(table.status(), absl::StrCat("data set ", assigned.name()));
    }
    tables.emplace(assigned.name(), *std::move(table));
  }
  return tables;
}

v1::Finished Failure(v1::Attempt::EndCause cause, const absl::Status& status) {
  v1::Finished finished;
  finished.set_end_cause(cause);
  *finished.mutable_error() = StatusToMessage(status);
  return finished;
}

// Runs `Train` behind the last line that may throw.
absl::StatusOr<TrainingResult> TrainCatching(const Algorithm& algorithm,
                                             const v1::TrainingSpec& spec, const Tables& tables,
                                             TrainingContext& context) {
  try {
    return algorithm.Train(spec, tables, context);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("the training asked for more memory than there is");
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("the training failed unexpectedly: ", error.what()));
  } catch (...) {
    return absl::InternalError("the training failed unexpectedly");
  }
}

// Fills in what the algorithm leaves to the worker.
void CompleteManifest(const v1::Assignment& assignment, const Algorithm& algorithm,
                      v1::ModelManifest& manifest) {
  manifest.set_format_version(kManifestFormatVersion);
  manifest.set_algorithm(std::string(algorithm.name()));
  *manifest.mutable_spec() = assignment.spec();
  manifest.set_trainyard_version(TRAINYARD_VERSION);
}

// Writes `manifest.json`, with which a downloaded model folder explains itself.
absl::Status WriteManifest(const v1::ModelManifest& manifest, const std::filesystem::path& folder) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto printed = google::protobuf::util::MessageToJsonString(manifest, &json, options);
  if (!printed.ok()) return absl::InternalError(printed.ToString());
  // Neither atomically nor durably: the folder ends with this process, and the server makes durable
  // what it receives.
  return WritePrivateFile(folder / "manifest.json", json);
}

}  // namespace

v1::Attempt::EndCause EndCauseOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return v1::Attempt::END_CAUSE_SUCCEEDED;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
      return v1::Attempt::END_CAUSE_USER_ERROR;
    case absl::StatusCode::kOutOfRange:
      return v1::Attempt::END_CAUSE_DIVERGED;
    case absl::StatusCode::kResourceExhausted:
      return v1::Attempt::END_CAUSE_OUT_OF_MEMORY;
    case absl::StatusCode::kCancelled:
      return v1::Attempt::END_CAUSE_CANCELLED;
    default:
      return v1::Attempt::END_CAUSE_WORKER_LOST;
  }
}

v1::Finished RunTraining(const v1::Assignment& assignment, const Algorithm* algorithm,
                         TrainingContext& context, const ArtifactUploader& uploader, Clock& clock) {
  const absl::Duration start = clock.Monotonic();
  if (algorithm == nullptr) {
    return Failure(v1::Attempt::END_CAUSE_USER_ERROR,
                   absl::UnimplementedError("spec: this worker has no algorithm for it"));
  }
  std::error_code error;
  std::filesystem::create_directories(context.model_folder(), error);
  if (error) {
    return Failure(v1::Attempt::END_CAUSE_WORKER_LOST,
                   absl::UnavailableError(
                       absl::StrCat(context.model_folder().string(), ": ", error.message())));
  }
  SetCrashPhase("opening data", 0);
  const auto tables = OpenTables(assignment);
  if (!tables.ok()) return Failure(v1::Attempt::END_CAUSE_WORKER_LOST, tables.status());
  absl::Status status = context.CheckCancelled();
  if (!status.ok()) return Failure(EndCauseOf(status), status);

  SetCrashPhase("training", 0);
  auto result = TrainCatching(*algorithm, assignment.spec(), *tables, context);
  if (!result.ok()) return Failure(EndCauseOf(result.status()), result.status());

  SetCrashPhase("storing the model", 0);
  CompleteManifest(assignment, *algorithm, result->manifest);
  status = WriteManifest(result->manifest, context.model_folder());
  if (!status.ok()) return Failure(v1::Attempt::END_CAUSE_WORKER_LOST, status);
  auto small_files = uploader.UploadModelFolder(context.model_folder());
  if (!small_files.ok()) {
    // The training's part is done: what fails now is not the user's fault.
    return Failure(absl::IsCancelled(small_files.status()) ? v1::Attempt::END_CAUSE_CANCELLED
                                                           : v1::Attempt::END_CAUSE_WORKER_LOST,
                   small_files.status());
  }

  v1::Finished finished;
  finished.set_end_cause(v1::Attempt::END_CAUSE_SUCCEEDED);
  finished.mutable_report()->Swap(&result->report);
  finished.mutable_report()->set_wall_seconds(absl::ToDoubleSeconds(clock.Monotonic() - start));
  finished.mutable_report()->set_peak_memory_bytes(PeakResidentBytes(getpid()));
  finished.mutable_manifest()->Swap(&result->manifest);
  for (v1::SmallModelFile& file : *small_files) *finished.add_small_files() = std::move(file);
  return finished;
}

}  // namespace trainyard
