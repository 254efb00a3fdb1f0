// Ingest mode: reads one table and writes its columnar cache.
#pragma once

#include <cstdint>
#include <filesystem>

namespace trainyard {

struct IngestOptions {
  std::filesystem::path file;
  std::filesystem::path cache_file;
  int threads = 1;
  int64_t memory_bytes = 0;        // limit on private memory; 0: none
  int64_t time_limit_seconds = 0;  // the process kills itself then; 0: never
};

// Speaks the protocol of server/execution/local/ingest_protocol.h. Returns a WorkerExitCode.
// Running out of memory ends the process with kWorkerOutOfMemory, on whichever thread.
int RunIngest(const IngestOptions& options);

}  // namespace trainyard
