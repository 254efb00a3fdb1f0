// A tree model of the service that a job takes as input.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "core/training/training_context.h"
#include "core/trees/tree_model_files.h"
#include "trainyard/v1/model.pb.h"

namespace trainyard {

struct InputTreeModel {
  v1::ModelManifest manifest;
  StoredTrees stored;
};

// Loads the model `name`, which stands in the spec's field `field`. FAILED_PRECONDITION when it is
// not at hand, INVALID_ARGUMENT when it holds no trees, DATA_LOSS when its files are damaged.
absl::StatusOr<InputTreeModel> LoadInputTreeModel(std::string_view field, const std::string& name,
                                                  TrainingContext& context);

// INVALID_ARGUMENT that says "FIELD: "NAME" WHAT".
absl::Status UnfitModel(std::string_view field, std::string_view name, std::string_view what);

}  // namespace trainyard
