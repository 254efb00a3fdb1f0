// The columnar caches of tables: files that can be made again at any time.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "core/data/table.h"
#include "server/storage/dataset_store.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// SHA-256 of the options in hexadecimal; equal for equal options.
std::string HashOf(const v1::TableReadOptions& options);

// A cache file that was made but has no name yet; removed with everything around it unless it is
// published.
class PendingTable {
 public:
  explicit PendingTable(std::filesystem::path folder) : folder_(std::move(folder)) {}
  PendingTable(PendingTable&& other) noexcept
      : folder_(std::exchange(other.folder_, {})), schema(std::move(other.schema)) {}
  PendingTable& operator=(PendingTable&&) = delete;
  ~PendingTable();

  std::filesystem::path file() const { return folder_ / "table"; }

 private:
  std::filesystem::path folder_;

 public:
  v1::TableSchema schema;
};

// A folder of cache files, named by the SHA-256 of the data and of the options it was read with.
// Thread-safe.
class TableCache {
 public:
  // Creates the folder and removes what an earlier run left unfinished.
  TableCache(const std::filesystem::path& folder, IngestTable ingest);

  // Reads a table into a pending file. Errors as IngestTable.
  absl::StatusOr<PendingTable> Ingest(const std::filesystem::path& data,
                                      const v1::TableReadOptions& options);
  // Gives the file its name. A failure is not reported: the cache is then made when it is needed.
  void Publish(PendingTable table, std::string_view sha256);

  struct Entry {
    std::filesystem::path file;
    std::shared_ptr<const Table> table;
  };
  // The cache of `data`, whose hash is `sha256` and which has this schema, made again when it is
  // missing or damaged. Several callers wait for one to make it.
  absl::StatusOr<Entry> Open(std::string_view sha256, const v1::TableSchema& schema,
                             const std::filesystem::path& data);
  // Removes the cache file, if there is one.
  void Remove(std::string_view sha256, const v1::TableReadOptions& options);

 private:
  std::filesystem::path PathOf(std::string_view sha256, const v1::TableReadOptions& options) const;
  absl::Status Remake(const std::filesystem::path& file, std::string_view sha256,
                      const v1::TableSchema& schema, const std::filesystem::path& data);

  const std::filesystem::path folder_;
  const IngestTable ingest_;
  Mutex mutex_;
  absl::flat_hash_set<std::string> being_made_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trainyard
