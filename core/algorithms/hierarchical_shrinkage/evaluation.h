// Trees without their shrinkage, and what trees use.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/trees/ensemble.h"
#include "core/trees/tree_predictor.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// A predictor of the trees without shrinkage; `ensemble` is as before afterwards.
TreePredictor PlainPredictor(TreeEnsemble& ensemble);

// ImpurityImportance by name: the greatest first; at most `most`, without those of share 0.
std::vector<v1::FeatureImportance> FeatureImportances(const TreeEnsemble& ensemble,
                                                      std::span<const std::string> names,
                                                      size_t most);

}  // namespace trainyard
