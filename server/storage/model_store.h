// Trained models: their files for download, and predictors kept loaded for use.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/algorithm.h"
#include "proto/schema/resource_names.h"
#include "server/storage/blob_store.h"
#include "server/storage/catalogue.h"
#include "trainyard/v1/model.pb.h"

namespace trainyard {

// Models are stored by whoever ends a job (CatalogueTransaction::InsertModel); this reads, applies
// and deletes them. Thread-safe. Methods may block on the disk.
class ModelStore {
 public:
  struct Options {
    // Where model folders are put together for loading; emptied when the store is created.
    std::filesystem::path scratch_folder;
    // Predictors kept loaded while nobody uses them: at most so many, of models of together at
    // most so many bytes. The least recently used goes first. 0 keeps none.
    int max_loaded_models = 32;
    int64_t max_loaded_bytes = int64_t{1} << 30;
    // The algorithm of that name, or nullptr; usually FindAlgorithm of core/algorithms/registry.h.
    std::function<const Algorithm*(std::string_view name)> find_algorithm;
  };
  static absl::StatusOr<std::unique_ptr<ModelStore>> Create(const Options& options,
                                                            Catalogue& catalogue, BlobStore& blobs);
  virtual ~ModelStore() = default;

  virtual absl::StatusOr<v1::Model> Get(const ModelName& name) = 0;
  // As Catalogue::ListModels.
  virtual absl::StatusOr<Catalogue::ModelPage> List(std::string_view project,
                                                    std::string_view page_token, int page_size) = 0;
  // NOT_FOUND; ABORTED when `etag` is not empty and not the model's.
  virtual absl::Status Delete(const ModelName& name, const std::string& etag) = 0;

  // The model with the path of every file, in the order of `model.files()`. The files stay readable
  // while `hold` lives, also when the model is deleted meanwhile. DATA_LOSS when a file is gone.
  struct HeldModel {
    v1::Model model;
    std::vector<std::filesystem::path> paths;
    std::shared_ptr<void> hold;
  };
  virtual absl::StatusOr<HeldModel> Open(const ModelName& name) = 0;

  // The model loaded for use; usable for as long as the pointer lives, also when the model is
  // deleted meanwhile. Concurrent calls for one model load it once. NOT_FOUND; UNIMPLEMENTED when
  // its algorithm is not in this build or cannot be applied to tables; DATA_LOSS when its files are
  // damaged.
  virtual absl::StatusOr<std::shared_ptr<const Predictor>> LoadPredictor(const ModelName& name) = 0;
};

}  // namespace trainyard
