// The training of a hierarchical shrinkage job.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/algorithms/algorithm.h"
#include "core/algorithms/hierarchical_shrinkage/checkpoint_keeper.h"
#include "core/algorithms/table_input.h"
#include "core/data/table.h"
#include "core/training/training_context.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// Trains by a resolved spec on the columns found for it and writes the model (see
// core/trees/tree_model_files.h); see Algorithm::Train.
absl::StatusOr<TrainingResult> TrainHierarchicalShrinkage(const v1::HierarchicalShrinkageSpec& spec,
                                                          const TableColumns& columns,
                                                          std::shared_ptr<const Table> table,
                                                          TrainingContext& context,
                                                          const CheckpointPolicy& policy = {});

}  // namespace trainyard
