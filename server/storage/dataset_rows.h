// Data sets and models as rows of the catalogue.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/schema/resource_names.h"
#include "server/storage/catalogue.h"
#include "server/storage/page_token.h"
#include "server/storage/sqlite.h"
#include "trainyard/v1/dataset.pb.h"
#include "trainyard/v1/model.pb.h"

namespace trainyard {

// See CatalogueTransaction and Catalogue.
absl::Status WriteDatasetVersion(Database& database, const v1::Dataset& dataset);
absl::StatusOr<v1::Dataset> ReadDataset(Database& database, const DatasetName& name);
absl::StatusOr<v1::DatasetVersion> ReadDatasetVersion(Database& database, const DatasetName& name);
absl::StatusOr<std::vector<v1::Dataset>> ListDatasetRows(Database& database,
                                                         std::string_view project,
                                                         std::string_view after_id, int limit);
absl::Status DeleteDatasetRows(Database& database, const DatasetName& name);

absl::Status InsertModelRow(Database& database, const v1::Model& model,
                            const ModelContents& contents);
absl::StatusOr<ModelContents> ReadModelContents(Database& database, const ModelName& name);
absl::StatusOr<v1::Model> ReadModel(Database& database, const ModelName& name);
absl::StatusOr<Catalogue::ModelPage> ListModelRows(Database& database, const PageTokens& tokens,
                                                   std::string_view project,
                                                   std::string_view page_token, int page_size);
absl::Status DeleteModelRow(Database& database, const ModelName& name);

absl::StatusOr<std::vector<Catalogue::BlobReference>> ReadBlobReferences(Database& database);

}  // namespace trainyard
