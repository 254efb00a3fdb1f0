// A tree model of the service that a job shrinks instead of fitting trees.
#pragma once

#include "absl/status/statusor.h"
#include "core/algorithms/feature_binder.h"
#include "core/algorithms/table_learning.h"
#include "core/training/training_context.h"
#include "core/trees/tree_model_files.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// The model, and the job's data as the model sees it.
struct BaseModel {
  v1::ModelManifest manifest;
  StoredTrees stored;
  BoundFeatures features;
};

// Loads `spec.base_model()` and fits `data` to it: the columns become the model's features, the
// classes the model's classes. INVALID_ARGUMENT when the model holds no trees, is of another task
// or number of targets, needs a column that the table lacks, or does not know a class; NOT_FOUND
// becomes FAILED_PRECONDITION; DATA_LOSS when its files are damaged.
absl::StatusOr<BaseModel> LoadBaseModel(const v1::HierarchicalShrinkageSpec& spec,
                                        LearningTable& data, TrainingContext& context);

}  // namespace trainyard
