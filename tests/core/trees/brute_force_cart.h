// A slow check of a grown tree: every node is measured from its rows, and every split is compared
// with all splits that the rows allow. Shares no code with the learner but the Tree itself.
#pragma once

#include "core/trees/tree.h"
#include "tests/core/trees/tree_test_data.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// Which splits of a node are right.
enum class RightSplit {
  kFirstBest,         // the best, of equal ones the first
  kAnyBest,           // any of the best
  kBestOfItsFeature,  // any that no split by the same feature beats
  kAny,               // any that the limits allow
};

// Adds a test failure for everything that is wrong with `tree` as CART with `options` on `set`.
void ExpectIsCart(const Tree& tree, const TrainingSet& set, const v1::CartOptions& options,
                  RightSplit right = RightSplit::kFirstBest);

}  // namespace trainyard
