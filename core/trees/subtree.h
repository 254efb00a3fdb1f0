// Trees made of parts of other trees.
#pragma once

#include <cstdint>
#include <vector>

#include "core/trees/tree.h"

namespace trainyard {

// `tree` with the nodes that have made_leaf[t] != 0 made leaves, and without what was below them.
// Nodes keep their order; arrays that are empty stay empty.
Tree MakeLeaves(const Tree& tree, const std::vector<uint8_t>& made_leaf);

// The tree below and including `node`. Nodes keep their order; arrays that are empty stay empty.
Tree SubtreeOf(const Tree& tree, int node);

// The structure (features, thresholds, levels, children) of the split at the root of `tree`, which
// must not be a leaf, over the structures of two others. The other arrays are empty.
Tree JoinStructure(const Tree& tree, const Tree& left, const Tree& right);

}  // namespace trainyard
