#include "server/storage/dataset_store.h"

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/storage/dataset_header.h"
#include "server/storage/dataset_upload.h"
#include "server/storage/open_uploads.h"
#include "server/storage/table_cache.h"

namespace trainyard {
namespace {

namespace fs = std::filesystem;

class CatalogueDatasetStore final : public DatasetStore {
 public:
  CatalogueDatasetStore(const Options& options, Catalogue& catalogue, BlobStore& blobs,
                        IngestTable ingest, Clock& clock)
      : max_dataset_bytes_(options.max_dataset_bytes),
        parts_{catalogue, blobs, clock, TableCache(options.cache_folder, std::move(ingest))},
        open_uploads_(clock, options.keep_uploads_for, options.max_kept_uploads) {}

  absl::StatusOr<std::unique_ptr<DatasetUpload>> Begin(
      const v1::UploadDatasetHeader& header) override {
    TY_RETURN_IF_ERROR(CheckUploadHeader(header, max_dataset_bytes_));
    if (header.upload_id().empty()) return BeginNew(header);
    return open_uploads_.Open(header, [&] { return BeginNew(header); });
  }

  absl::StatusOr<v1::DatasetUpload> GetUpload(const ProjectName& project,
                                              std::string_view upload_id) override {
    return open_uploads_.Get(project.ToString(), upload_id);
  }
  void DropStaleUploads() override { open_uploads_.DropStale(); }

  absl::StatusOr<v1::Dataset> Get(const DatasetName& name) override {
    return parts_.catalogue.GetDataset(name);
  }
  absl::StatusOr<v1::DatasetVersion> GetVersion(const DatasetName& name) override {
    return parts_.catalogue.GetDatasetVersion(name);
  }

  absl::StatusOr<std::shared_ptr<const Table>> OpenTable(const DatasetName& name) override {
    TY_ASSIGN_OR_RETURN(const HeldFile held, OpenFile(name));
    TY_ASSIGN_OR_RETURN(TableCache::Entry entry, OpenCache(held));
    return std::move(entry.table);
  }

  absl::StatusOr<v1::AssignedTable> AssignTable(const DatasetName& name) override {
    TY_ASSIGN_OR_RETURN(const HeldFile held, OpenFile(name));
    TY_ASSIGN_OR_RETURN(const TableCache::Entry entry, OpenCache(held));
    v1::AssignedTable assigned;
    assigned.set_name(held.version.name());
    assigned.set_path(entry.file.string());
    *assigned.mutable_schema() = held.version.table();
    return assigned;
  }

  absl::StatusOr<HeldFile> OpenFile(const DatasetName& name) override {
    TY_ASSIGN_OR_RETURN(v1::DatasetVersion version, parts_.catalogue.GetDatasetVersion(name));
    std::shared_ptr<void> hold = parts_.blobs.Hold(version.sha256());
    absl::StatusOr<fs::path> path = parts_.blobs.PathOf(version.sha256());
    if (absl::IsNotFound(path.status())) {
      // Deleted since, or lost?
      TY_RETURN_IF_ERROR(parts_.catalogue.GetDatasetVersion(name).status());
      return absl::DataLossError(
          absl::StrCat("the file of '", version.name(), "' is gone: ", path.status().message()));
    }
    TY_RETURN_IF_ERROR(path.status());
    return HeldFile{*std::move(path), std::move(version), std::move(hold)};
  }

  absl::Status Delete(const DatasetName& name, const std::string& etag) override {
    const std::vector<v1::DatasetVersion> versions = VersionsOf(name);
    TY_RETURN_IF_ERROR(
        parts_.catalogue.WriteAndWait([&](CatalogueTransaction& transaction) -> absl::Status {
          TY_ASSIGN_OR_RETURN(const v1::Dataset dataset, transaction.GetDataset(name));
          if (!etag.empty() && etag != dataset.etag()) {
            return absl::AbortedError(absl::StrCat("etag is '", etag, "', that of '",
                                                   dataset.name(), "' is '", dataset.etag(), "'"));
          }
          return transaction.DeleteDataset(name);
        }));
    RemoveCaches(versions);
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<std::unique_ptr<DatasetUpload>> BeginNew(const v1::UploadDatasetHeader& header) {
    TY_ASSIGN_OR_RETURN(const ProjectName project, ProjectName::Parse(header.parent()));
    DatasetName name{project.project, header.dataset_id(), 0};
    const absl::StatusOr<v1::Dataset> existing = parts_.catalogue.GetDataset(name);
    if (existing.ok()) {
      TY_RETURN_IF_ERROR(CheckDatasetKind(*existing, v1::Dataset::KIND_TABLE));
    } else if (!absl::IsNotFound(existing.status())) {
      return existing.status();
    }
    TY_ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> writer,
                        parts_.blobs.Create(header.size_bytes()));
    return MakeDatasetUpload(parts_, header, std::move(name), std::move(writer));
  }

  absl::StatusOr<TableCache::Entry> OpenCache(const HeldFile& held) {
    absl::StatusOr<TableCache::Entry> entry =
        parts_.cache.Open(held.version.sha256(), held.version.table(), held.path);
    if (entry.ok()) return entry;
    return AddContext(entry.status(), absl::StrCat("opening '", held.version.name(), "'"));
  }

  // As many as can be read.
  std::vector<v1::DatasetVersion> VersionsOf(DatasetName name) {
    std::vector<v1::DatasetVersion> versions;
    for (name.version = 1;; ++name.version) {
      absl::StatusOr<v1::DatasetVersion> version = parts_.catalogue.GetDatasetVersion(name);
      if (!version.ok()) return versions;
      versions.push_back(*std::move(version));
    }
  }

  // Removes the caches of deleted versions, except where another data set has the same bytes.
  void RemoveCaches(const std::vector<v1::DatasetVersion>& versions) {
    const absl::StatusOr<std::vector<Catalogue::BlobReference>> references =
        parts_.catalogue.BlobReferences();
    if (!references.ok()) return;
    absl::flat_hash_set<std::string> referenced;
    for (const Catalogue::BlobReference& reference : *references) {
      referenced.insert(reference.sha256);
    }
    for (const v1::DatasetVersion& version : versions) {
      if (referenced.contains(version.sha256())) continue;
      parts_.cache.Remove(version.sha256(), version.table().read_options());
    }
  }

  const int64_t max_dataset_bytes_;
  DatasetParts parts_;
  OpenUploads open_uploads_;  // uses `parts_`
};

}  // namespace

std::unique_ptr<DatasetStore> DatasetStore::Create(const Options& options, Catalogue& catalogue,
                                                   BlobStore& blobs, IngestTable ingest,
                                                   Clock& clock) {
  return std::make_unique<CatalogueDatasetStore>(options, catalogue, blobs, std::move(ingest),
                                                 clock);
}

}  // namespace trainyard
