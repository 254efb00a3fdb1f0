#include "server/storage/dataset_upload.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "google/protobuf/util/time_util.h"
#include "server/storage/received_chunks.h"

namespace trainyard {
namespace {

using ::google::protobuf::util::TimeUtil;

// Tells versions apart, and also bytes and options: see IsEqual.
std::string EtagOf(const DatasetName& version, const std::string& sha256,
                   const v1::TableReadOptions& requested) {
  return Sha256Hex(absl::StrCat(version.ToString(), " ", sha256, " ", HashOf(requested)))
      .substr(0, 32);
}

// Whether the newest version of `dataset` has these bytes, read with the options of this request.
bool IsEqual(const v1::Dataset& dataset, DatasetName name, const v1::UploadDatasetHeader& header) {
  name.version = dataset.version_count();
  return dataset.etag() == EtagOf(name, header.sha256(), header.table());
}

class Upload final : public DatasetUpload {
 public:
  Upload(DatasetParts& parts, const v1::UploadDatasetHeader& header, DatasetName name,
         std::unique_ptr<BlobWriter> writer)
      : parts_(parts), header_(header), name_(std::move(name)), writer_(std::move(writer)) {}

  absl::Status Append(const v1::FileChunk& chunk) override {
    TY_RETURN_IF_ERROR(broken_);
    broken_ = AppendChunk(chunk);
    return broken_;
  }

  absl::StatusOr<v1::Dataset> Finish() override {
    TY_RETURN_IF_ERROR(broken_);
    broken_ = absl::FailedPreconditionError("the upload is finished");
    absl::StatusOr<v1::Dataset> dataset = Complete();
    writer_ = nullptr;
    return dataset;
  }

  int64_t committed_bytes() const override { return writer_ ? writer_->size_bytes() : 0; }

 private:
  absl::Status AppendChunk(const v1::FileChunk& chunk) {
    TY_RETURN_IF_ERROR(CheckChunk(chunk, writer_->size_bytes(), header_.size_bytes()));
    return writer_->Append(chunk.data());
  }

  absl::Status VerifyContent() {
    TY_RETURN_IF_ERROR(CheckReceivedSize(writer_->size_bytes(), header_.size_bytes()));
    const std::string found = writer_->Sha256();
    if (found == header_.sha256()) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("header.sha256 is ", header_.sha256(), "; must be ",
                                            found, ", the SHA-256 of the bytes received"));
  }

  absl::StatusOr<v1::Dataset> Complete() {
    TY_RETURN_IF_ERROR(VerifyContent());
    absl::StatusOr<v1::Dataset> newest = parts_.catalogue.GetDataset(name_);
    if (newest.ok() && IsEqual(*newest, name_, header_)) return newest;

    TY_RETURN_IF_ERROR(writer_->Flush());
    TY_ASSIGN_OR_RETURN(PendingTable table,
                        parts_.cache.Ingest(writer_->temporary_file(), header_.table()));
    TY_ASSIGN_OR_RETURN(const BlobInfo blob, writer_->Commit());
    absl::StatusOr<v1::Dataset> dataset = Store(std::move(newest), blob, table.schema);
    if (dataset.ok()) {
      parts_.cache.Publish(std::move(table), blob.sha256);
    } else {
      writer_ = nullptr;
      RemoveUnreferenced(blob);
    }
    return dataset;
  }

  // Makes the blob the version after `newest`.
  absl::StatusOr<v1::Dataset> Store(absl::StatusOr<v1::Dataset> newest, const BlobInfo& blob,
                                    const v1::TableSchema& schema) {
    while (true) {
      if (!newest.ok() && !absl::IsNotFound(newest.status())) return newest.status();
      if (newest.ok() && IsEqual(*newest, name_, header_)) return newest;
      if (newest.ok()) TY_RETURN_IF_ERROR(CheckDatasetKind(*newest, v1::Dataset::KIND_TABLE));
      const v1::Dataset dataset =
          NextVersion(newest.ok() ? *std::move(newest) : v1::Dataset(), blob, schema);
      const absl::Status stored =
          parts_.catalogue.WriteAndWait([&dataset](CatalogueTransaction& transaction) {
            return transaction.PutDatasetVersion(dataset);
          });
      if (stored.ok()) return dataset;
      if (!absl::IsAborted(stored)) return stored;
      // Another upload was quicker: ours becomes the version after.
      newest = parts_.catalogue.GetDataset(name_);
    }
  }

  // A blob whose catalogue entry could not be written goes, unless something else refers to it.
  void RemoveUnreferenced(const BlobInfo& blob) {
    const auto is_kept = [&](std::string_view sha256) {
      if (sha256 != blob.sha256) return true;
      const auto references = parts_.catalogue.BlobReferences();
      if (!references.ok()) return true;
      return std::any_of(references->begin(), references->end(),
                         [&](const auto& reference) { return reference.sha256 == blob.sha256; });
    };
    parts_.blobs.Collect(is_kept).IgnoreError();
  }

  // `dataset`, which is empty for a new data set, with one version more.
  v1::Dataset NextVersion(v1::Dataset dataset, const BlobInfo& blob,
                          const v1::TableSchema& schema) const {
    const auto now = TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(parts_.clock.Now()));
    if (dataset.version_count() == 0) {
      dataset.set_name(name_.ToString());
      dataset.set_kind(v1::Dataset::KIND_TABLE);
      *dataset.mutable_create_time() = now;
    }
    if (!header_.display_name().empty()) dataset.set_display_name(header_.display_name());
    *dataset.mutable_update_time() = now;
    dataset.set_version_count(dataset.version_count() + 1);
    const DatasetName name{name_.project, name_.dataset, dataset.version_count()};
    dataset.set_etag(EtagOf(name, blob.sha256, header_.table()));
    v1::DatasetVersion& version = *dataset.mutable_latest_version();
    version.Clear();
    version.set_name(name.ToString());
    version.set_size_bytes(blob.size_bytes);
    version.set_sha256(blob.sha256);
    version.set_file_name(header_.file_name());
    *version.mutable_create_time() = now;
    *version.mutable_table() = schema;
    return dataset;
  }

  DatasetParts& parts_;
  const v1::UploadDatasetHeader header_;
  const DatasetName name_;
  std::unique_ptr<BlobWriter> writer_;
  absl::Status broken_;  // why nothing more is taken
};

}  // namespace

absl::Status CheckDatasetKind(const v1::Dataset& dataset, v1::Dataset::Kind kind) {
  if (dataset.kind() == kind) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("header.kind is ", v1::Dataset::Kind_Name(kind),
                                                    ", but '", dataset.name(), "' is of kind ",
                                                    v1::Dataset::Kind_Name(dataset.kind())));
}

std::unique_ptr<DatasetUpload> MakeDatasetUpload(DatasetParts& parts,
                                                 const v1::UploadDatasetHeader& header,
                                                 DatasetName name,
                                                 std::unique_ptr<BlobWriter> writer) {
  return std::make_unique<Upload>(parts, header, std::move(name), std::move(writer));
}

}  // namespace trainyard
