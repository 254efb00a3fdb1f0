// One upload of a data set in progress.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "core/base/clock.h"
#include "proto/schema/resource_names.h"
#include "server/storage/blob_store.h"
#include "server/storage/catalogue.h"
#include "server/storage/dataset_store.h"
#include "server/storage/table_cache.h"
#include "trainyard/v1/dataset_service.pb.h"

namespace trainyard {

// What all uploads of a store share.
struct DatasetParts {
  Catalogue& catalogue;
  BlobStore& blobs;
  Clock& clock;
  TableCache cache;
};

// FAILED_PRECONDITION when the data set is of another kind.
absl::Status CheckDatasetKind(const v1::Dataset& dataset, v1::Dataset::Kind kind);

// Receives the bytes of `header`, which CheckUploadHeader has accepted, into `writer`. `parts` must
// outlive the result.
std::unique_ptr<DatasetUpload> MakeDatasetUpload(DatasetParts& parts,
                                                 const v1::UploadDatasetHeader& header,
                                                 DatasetName name,
                                                 std::unique_ptr<BlobWriter> writer);

}  // namespace trainyard
