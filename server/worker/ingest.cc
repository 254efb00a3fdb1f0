#include "server/worker/ingest.h"

#include <sys/resource.h>
#include <unistd.h>

#include <exception>
#include <new>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/table.h"
#include "server/execution/local/ingest_protocol.h"
#include "server/execution/local/small_files.h"
#include "server/execution/worker_exit_codes.h"

namespace trainyard {
namespace {

// Sanitizers map terabytes of address space for themselves, which no limit can allow for.
#ifdef TRAINYARD_SANITIZED
constexpr bool kCanLimitMemory = false;
#else
constexpr bool kCanLimitMemory = true;
#endif

void LimitResources(const IngestOptions& options) {
  if (options.time_limit_seconds > 0) alarm(static_cast<unsigned>(options.time_limit_seconds));
  if (options.memory_bytes <= 0 || !kCanLimitMemory) return;
  // Private writable memory; files mapped for reading do not count.
  const rlimit limit = {static_cast<rlim_t>(options.memory_bytes),
                        static_cast<rlim_t>(options.memory_bytes)};
  setrlimit(RLIMIT_DATA, &limit);
  std::set_new_handler([] { _exit(kWorkerOutOfMemory); });
}

absl::StatusOr<v1::TableSchema> Ingest(const IngestOptions& options) {
  const auto bytes = ReadSmallFile(absl::StrCat("/proc/self/fd/", kIngestOptionsFd));
  v1::TableReadOptions read_options;
  if (!bytes.has_value() || !read_options.ParseFromString(*bytes)) {
    return absl::InternalError("the options of the ingest process cannot be read");
  }
  TY_ASSIGN_OR_RETURN(const auto table,
                      ReadTable(options.file, read_options, TableLimits(), options.threads));
  TY_RETURN_IF_ERROR(WriteTableCache(*table, options.cache_file));
  return table->schema();
}

bool WriteResult(const std::string& bytes) {
  for (size_t written = 0; written < bytes.size();) {
    const ssize_t count = write(kIngestResultFd, bytes.data() + written, bytes.size() - written);
    if (count <= 0) return false;
    written += static_cast<size_t>(count);
  }
  return true;
}

}  // namespace

int RunIngest(const IngestOptions& options) {
  LimitResources(options);
  try {
    return WriteResult(EncodeIngestResult(Ingest(options))) ? kWorkerDone : kWorkerInternalError;
  } catch (const std::bad_alloc&) {
    return kWorkerOutOfMemory;
  } catch (const std::system_error&) {
    // A thread could not be started: its stack did not fit.
    return kWorkerOutOfMemory;
  } catch (const std::exception& error) {
    const absl::Status status =
        absl::InternalError(absl::StrCat("reading the table failed unexpectedly: ", error.what()));
    return WriteResult(EncodeIngestResult(status)) ? kWorkerDone : kWorkerInternalError;
  }
}

}  // namespace trainyard
