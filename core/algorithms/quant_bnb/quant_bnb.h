// Optimal decision trees on continuous features (Quant-BnB: Mazumder, Meng, Wang, ICML 2022).
#pragma once

#include "core/algorithms/algorithm.h"

namespace trainyard {

// The job type `quant_bnb`: searches for the tree of least loss and proves it. Its model folder is
// that of core/trees/tree_model_files.h, with the tree as text beside. Lives for ever.
const Algorithm& QuantBnbAlgorithm();

}  // namespace trainyard
