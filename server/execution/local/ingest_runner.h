// Reads uploaded tables in processes of their own, so that no file can harm the server.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "server/execution/local/unique_fd.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// Thread-safe.
class IngestRunner {
 public:
  struct Options {
    std::filesystem::path worker_binary;
    int64_t memory_bytes = 0;  // of one process; 0: half of the machine's memory
    absl::Duration time_limit = absl::Minutes(10);
    int threads = 1;        // of one process
    int max_processes = 2;  // at once; more calls wait
  };
  explicit IngestRunner(const Options& options);
  // Calls Stop. No call may be under way that began after it.
  ~IngestRunner();

  // Reads `file` and writes its columnar cache; answers what is in it. Blocks. Errors: those of
  // ReadTable; RESOURCE_EXHAUSTED when it takes more memory or time than allowed; INTERNAL, with
  // the signal, when the process crashed; UNAVAILABLE after Stop.
  absl::StatusOr<v1::TableSchema> Ingest(const std::filesystem::path& file,
                                         const v1::TableReadOptions& options,
                                         const std::filesystem::path& cache_file);

  // Kills what runs and refuses what comes.
  void Stop();

 private:
  const Options options_;
  const UniqueFd stop_;  // eventfd, readable after Stop
  Mutex mutex_;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace trainyard
