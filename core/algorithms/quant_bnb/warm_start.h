// The tree that a search starts from.
#pragma once

#include "absl/status/statusor.h"
#include "core/algorithms/table_learning.h"
#include "core/training/training_context.h"
#include "core/trees/tree.h"
#include "trainyard/v1/quant_bnb.pb.h"

namespace trainyard {

// The structure of the model `spec.warm_start()` on the features of `data`; a split on levels that
// none of the table's levels is among becomes a leaf. INVALID_ARGUMENT when the model has not
// exactly one tree, its tree is deeper than `spec.depth()`, or it splits on a column that is no
// feature of the job or one of another type; else as LoadInputTreeModel.
absl::StatusOr<Tree> LoadWarmStart(const v1::QuantBnbSpec& spec, const LearningTable& data,
                                   TrainingContext& context);

}  // namespace trainyard
