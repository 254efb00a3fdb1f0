// Pruning of a grown tree: minimal cost-complexity pruning (Breiman, Friedman, Olshen, Stone 1984)
// and C4.5's error-based pruning (Quinlan 1993).
#pragma once

#include <vector>

#include "core/trees/cart.h"
#include "core/trees/tree.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// With R(t) = N(t) i(t) / N(root) and R of a subtree the sum over its leaves, the subtree that
// minimises R + alpha * leaves, for alpha from 0 upwards: entry 0 is the whole tree (alpha 0), each
// further one has one more inner node made a leaf, the one of least
//   (R(t) - R(subtree of t)) / (leaves below t - 1),
// which is the alpha of the entry; of equal ones the node of lowest number. The last entry is the
// root alone. Two runs of equal alphas mean that both nodes fall at once.
struct PruningPath {
  std::vector<double> alphas;
  std::vector<double> impurities;  // R of the subtree
};

// O(nodes * (depth + log nodes)) at worst.
PruningPath CostComplexityPath(const Tree& tree);

// The subtree of the path's last entry with an alpha of at most `alpha` >= 0. Nodes keep their
// order. Note that alpha 0 prunes splits that gain nothing.
Tree PruneCostComplexity(const Tree& tree, double alpha);

// The upper limit of the number of errors among `weight` rows of which `errors` are wrong, at
// confidence `confidence` in (0, 0.5]: C4.5's normal approximation of the binomial limit, exact
// where `errors` is 0 and interpolated between there and 1.
double PessimisticErrors(double errors, double weight, double confidence);

// C4.5's error-based pruning of a classification tree: from below, a subtree becomes a leaf where
// the leaf's PessimisticErrors exceed the sum of those of the subtree's leaves by at most 0.1, as
// in C4.5. A subtree is never raised in place of its parent, which C4.5 also tries: that would need
// the training rows.
Tree PrunePessimistically(const Tree& tree, double confidence);

// What `options` ask for: ccp_alpha and, for a classification, pruning_confidence, in that order;
// nothing where they are 0.
Tree Prune(const v1::CartOptions& options, const TreeTarget& target, Tree tree);

}  // namespace trainyard
