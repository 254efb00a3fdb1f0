// The algorithms of this build.
#pragma once

#include <string_view>
#include <vector>

#include "core/algorithms/algorithm.h"

namespace trainyard {

// All algorithms, ordered by name.
const std::vector<const Algorithm*>& AllAlgorithms();

// The algorithm of that name, or nullptr.
const Algorithm* FindAlgorithm(std::string_view name);

// Name of the member set in `spec` (`hierarchical_shrinkage`), empty when none is.
std::string_view AlgorithmNameOf(const v1::TrainingSpec& spec);

}  // namespace trainyard
