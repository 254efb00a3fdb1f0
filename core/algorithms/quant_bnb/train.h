// The training of an optimal tree job.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/algorithms/algorithm.h"
#include "core/algorithms/table_input.h"
#include "core/data/table.h"
#include "core/training/training_context.h"
#include "trainyard/v1/quant_bnb.pb.h"

namespace trainyard {

// Trains by a resolved spec on the columns found for it and writes the model (see
// core/trees/tree_model_files.h); see Algorithm::Train. A lookahead saves its steps not more often
// than every `least_interval`. INTERNAL where the loss that the search claims is not that of its
// tree.
absl::StatusOr<TrainingResult> TrainQuantBnb(const v1::QuantBnbSpec& spec,
                                             const TableColumns& columns,
                                             std::shared_ptr<const Table> table,
                                             TrainingContext& context,
                                             absl::Duration least_interval = absl::Seconds(2));

}  // namespace trainyard
