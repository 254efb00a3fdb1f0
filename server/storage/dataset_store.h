// Data sets: from uploaded bytes to a version with a schema and a columnar cache.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/data/table.h"
#include "proto/schema/resource_names.h"
#include "server/storage/blob_store.h"
#include "server/storage/catalogue.h"
#include "trainyard/v1/dataset.pb.h"
#include "trainyard/v1/dataset_service.pb.h"
#include "trainyard/v1/worker_service.pb.h"

namespace trainyard {

// Reads the file and writes its columnar cache, in a process of its own so that no data set can
// harm the server. INVALID_ARGUMENT with violations when the file is no table. Blocks.
using IngestTable = std::function<absl::StatusOr<v1::TableSchema>(
    const std::filesystem::path& file, const v1::TableReadOptions& options,
    const std::filesystem::path& cache_file)>;

// One upload in progress. Not thread-safe; methods may block on the disk. Destroying it before
// Finish has succeeded leaves no trace, except of an upload with an id, which can be continued.
class DatasetUpload {
 public:
  virtual ~DatasetUpload() = default;
  // OUT_OF_RANGE when the offset is not the next one or the declared size is exceeded; DATA_LOSS
  // when the CRC differs; RESOURCE_EXHAUSTED when the disk is full.
  virtual absl::Status Append(const v1::FileChunk& chunk) = 0;
  // Verifies size and SHA-256, ingests, commits.
  virtual absl::StatusOr<v1::Dataset> Finish() = 0;
  // Bytes appended so far: the offset of the next chunk.
  virtual int64_t committed_bytes() const = 0;
};

// Thread-safe.
class DatasetStore {
 public:
  struct Options {
    std::filesystem::path
        cache_folder;  // columnar caches; may be deleted at any time while stopped
    int64_t max_dataset_bytes = int64_t{64} << 30;
    // How long, and how many, uploads with an id are kept after their call was cut off.
    absl::Duration keep_uploads_for = absl::Hours(1);
    int max_kept_uploads = 16;
  };
  static std::unique_ptr<DatasetStore> Create(const Options& options, Catalogue& catalogue,
                                              BlobStore& blobs, IngestTable ingest, Clock& clock);
  virtual ~DatasetStore() = default;

  // INVALID_ARGUMENT with violations (paths begin with `header.`), FAILED_PRECONDITION (other
  // kind), UNIMPLEMENTED (a kind that this build does not take), RESOURCE_EXHAUSTED. With an
  // `upload_id` that is known the upload goes on where it was: see OpenUploads::Open for its
  // errors.
  virtual absl::StatusOr<std::unique_ptr<DatasetUpload>> Begin(
      const v1::UploadDatasetHeader& header) = 0;
  // An upload with an id that has not ended. NOT_FOUND when there is none.
  virtual absl::StatusOr<v1::DatasetUpload> GetUpload(const ProjectName& project,
                                                      std::string_view upload_id) = 0;
  // Removes uploads that were not continued in time. Begin and GetUpload do so as well.
  virtual void DropStaleUploads() = 0;

  virtual absl::StatusOr<v1::Dataset> Get(const DatasetName& name) = 0;
  virtual absl::StatusOr<v1::DatasetVersion> GetVersion(const DatasetName& name) = 0;
  // The table of a version, made again from the blob when the cache is gone. May take long then.
  virtual absl::StatusOr<std::shared_ptr<const Table>> OpenTable(const DatasetName& name) = 0;
  // For a worker: the cache file, made again when it is gone.
  virtual absl::StatusOr<v1::AssignedTable> AssignTable(const DatasetName& name) = 0;
  // Path of the file as uploaded; `hold` keeps it while it is used.
  struct HeldFile {
    std::filesystem::path path;
    v1::DatasetVersion version;
    std::shared_ptr<void> hold;
  };
  virtual absl::StatusOr<HeldFile> OpenFile(const DatasetName& name) = 0;
  virtual absl::Status Delete(const DatasetName& name, const std::string& etag) = 0;
};

}  // namespace trainyard
