// Application of a stored tree model to tables.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/algorithms/algorithm.h"
#include "core/trees/ensemble.h"
#include "trainyard/v1/tree.pb.h"

namespace trainyard {

// A predictor for `model`. Columns are found by name, levels of categories by text; levels that the
// model does not know count as missing. The predictions are `prediction` (`prediction_TARGET` where
// there are several targets); of a classification the class of least expected cost by the
// model's costs, without costs the most probable one, followed by `probability_CLASS` for every
// class. DATA_LOSS when the model is damaged.
absl::StatusOr<std::unique_ptr<Predictor>> MakeTreeModelPredictor(const v1::TreeModel& model);

// The same where the trees of `model` are in `ensemble`, checked already (EnsembleFromModel).
std::unique_ptr<Predictor> MakeTreeModelPredictor(const v1::TreeModel& model,
                                                  const TreeEnsemble& ensemble);

}  // namespace trainyard
