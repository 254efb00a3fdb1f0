// Decision trees with hierarchical shrinkage (Agarwal, Tan, Ronen, Singh, Yu, ICML 2022).
#pragma once

#include "core/algorithms/algorithm.h"

namespace trainyard {

// The job type `hierarchical_shrinkage`: grows trees, chooses lambda, shrinks. Its model folder is
// that of core/trees/tree_model_files.h, with the first trees as texts beside. Lives for ever.
const Algorithm& HierarchicalShrinkageAlgorithm();

}  // namespace trainyard
