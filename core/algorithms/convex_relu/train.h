// One job that trains a convex network, from a table to a model folder.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/algorithms/algorithm.h"
#include "core/algorithms/table_input.h"
#include "core/training/training_context.h"
#include "trainyard/v1/convex_relu.pb.h"

namespace trainyard {

// Algorithm::Train for a resolved spec; `gate_table` is that of uploaded gates, else null. Keeps
// checkpoints and evaluates the network on its way at most every `least_interval`.
absl::StatusOr<TrainingResult> TrainConvexRelu(const v1::ConvexReluSpec& spec,
                                               const TableColumns& columns,
                                               std::shared_ptr<const Table> table,
                                               const Table* gate_table, TrainingContext& context,
                                               absl::Duration least_interval = absl::Seconds(5));

}  // namespace trainyard
