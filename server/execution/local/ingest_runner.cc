#include "server/execution/local/ingest_runner.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/execution/local/helper_process.h"
#include "server/execution/local/ingest_protocol.h"
#include "server/execution/worker_exit_codes.h"

namespace trainyard {
namespace {

// The process ends itself so long after its time limit, in case the server is gone by then.
constexpr absl::Duration kSelfDestructMargin = absl::Seconds(10);

int64_t MachineMemoryBytes() { return sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE); }

IngestRunner::Options Resolve(IngestRunner::Options options) {
  if (options.memory_bytes == 0) options.memory_bytes = MachineMemoryBytes() / 2;
  return options;
}

absl::StatusOr<v1::TableSchema> Interpret(const IngestRunner::Options& options,
                                          const HelperResult& result) {
  if (result.stopped) return absl::UnavailableError("the server is shutting down");
  if (result.timed_out) {
    return absl::ResourceExhaustedError(absl::StrCat("reading the table took longer than ",
                                                     absl::FormatDuration(options.time_limit)));
  }
  if (result.exit_code == kWorkerOutOfMemory) {
    return absl::ResourceExhaustedError(absl::StrCat("reading the table needs more than the ",
                                                     options.memory_bytes,
                                                     " bytes of memory allowed"));
  }
  const std::string said =
      result.stderr_tail.empty() ? "" : absl::StrCat("; it said: ", result.stderr_tail);
  if (result.signal != 0) {
    return absl::InternalError(absl::StrCat("reading the table crashed with signal ", result.signal,
                                            " (", strsignal(result.signal), ")", said));
  }
  if (result.exit_code != 0) {
    return absl::InternalError(
        absl::StrCat("reading the table failed with exit code ", result.exit_code, said));
  }
  return DecodeIngestResult(result.output);
}

}  // namespace

IngestRunner::IngestRunner(const Options& options)
    : options_(Resolve(options)), stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

IngestRunner::~IngestRunner() {
  Stop();
  MutexLock lock(&mutex_);
  mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return running_ == 0; });
}

void IngestRunner::Stop() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = write(stop_.get(), &one, sizeof(one));
  MutexLock lock(&mutex_);
  stopped_ = true;
}

absl::StatusOr<v1::TableSchema> IngestRunner::Ingest(const std::filesystem::path& file,
                                                     const v1::TableReadOptions& options,
                                                     const std::filesystem::path& cache_file) {
  {
    MutexLock lock(&mutex_);
    const auto may_go = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return stopped_ || running_ < options_.max_processes;
    };
    mutex_.Await(may_go);
    if (stopped_) return absl::UnavailableError("the server is shutting down");
    ++running_;
  }
  HelperRequest request;
  request.arguments = {
      options_.worker_binary.string(),
      "--ingest",
      absl::StrCat("--file=", file.string()),
      absl::StrCat("--cache=", cache_file.string()),
      absl::StrCat("--threads=", options_.threads),
      absl::StrCat("--memory_bytes=", options_.memory_bytes),
      absl::StrCat("--time_limit_seconds=",
                   absl::ToInt64Seconds(options_.time_limit + kSelfDestructMargin))};
  request.input = options.SerializeAsString();
  request.time_limit = options_.time_limit;
  request.stop_fd = stop_.get();
  const auto result = RunHelper(request);
  {
    MutexLock lock(&mutex_);
    --running_;
  }
  TY_RETURN_IF_ERROR(result.status());
  return Interpret(options_, *result);
}

}  // namespace trainyard
