// Decision trees with hierarchical shrinkage (Agarwal, Tan, Ronen, Singh, Yu, ICML 2022).
#pragma once

#include "core/algorithms/algorithm.h"

namespace trainyard {

// The job type `hierarchical_shrinkage`: grows a tree, chooses lambda by cross-validation, shrinks.
// Its model folder holds one file, `tree.pb`, a v1::TreeModel. Lives for ever.
const Algorithm& HierarchicalShrinkageAlgorithm();

}  // namespace trainyard
