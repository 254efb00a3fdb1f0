#include "core/trees/pruning.h"

#include <algorithm>
#include <cmath>

#include "tests/core/trees/tree_test_data.h"

namespace trainyard {
namespace {

double OwnRisk(const Tree& tree, size_t t) {
  return tree.weight[t] / tree.weight[0] * tree.impurity[t];
}

struct Subtree {
  double risk = 0;
  int leaves = 0;
};

// All subtrees with the given root, by choosing for every inner node whether it is a leaf.
std::vector<Subtree> AllSubtrees(const Tree& tree, int32_t node) {
  const size_t t = static_cast<size_t>(node);
  std::vector<Subtree> all = {{OwnRisk(tree, t), 1}};
  if (tree.is_leaf(node)) return all;
  const std::vector<Subtree> left = AllSubtrees(tree, tree.left[t]);
  for (const Subtree& a : left) {
    for (const Subtree& b : AllSubtrees(tree, tree.right[t])) {
      all.push_back({a.risk + b.risk, a.leaves + b.leaves});
    }
  }
  return all;
}

Subtree Measured(const Tree& tree, double root_weight) {
  Subtree result;
  for (int t = 0; t < tree.node_count(); ++t) {
    if (!tree.is_leaf(t)) continue;
    result.risk +=
        tree.weight[static_cast<size_t>(t)] / root_weight * tree.impurity[static_cast<size_t>(t)];
    ++result.leaves;
  }
  return result;
}

Tree SmallTree(uint64_t seed) {
  v1::CartOptions options = DefaultCart();
  options.set_max_leaf_nodes(9);
  return Grow(MakeRandomSet({.rows = 40,
                             .categorical_features = 1,
                             .outputs = seed % 2 == 0 ? 1 : 2,
                             .classification = seed % 2 != 0,
                             .weighted = true,
                             .missing_share = 0.1},
                            seed),
              options);
}

// Reference: the cost of every subtree.
TEST(CostComplexityTest, IsTheCheapestSubtree) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const Tree tree = SmallTree(seed);
    const std::vector<Subtree> all = AllSubtrees(tree, 0);
    const PruningPath path = CostComplexityPath(tree);
    std::vector<double> alphas = {1e-12, 100};
    for (size_t i = 1; i < path.alphas.size(); ++i) {
      alphas.push_back((path.alphas[i - 1] + path.alphas[i]) / 2);
    }
    for (const double alpha : alphas) {
      const auto cost = [alpha](const Subtree& s) { return s.risk + alpha * s.leaves; };
      double least = HUGE_VAL;
      for (const Subtree& subtree : all) least = std::min(least, cost(subtree));
      const Subtree pruned = Measured(PruneCostComplexity(tree, alpha), tree.weight[0]);
      EXPECT_NEAR(cost(pruned), least, 1e-12 * (1 + least)) << "seed " << seed;
      for (const Subtree& subtree : all) {  // the smallest of the cheapest
        if (cost(subtree) < least + 1e-13) {
          EXPECT_GE(subtree.leaves, pruned.leaves);
        }
      }
    }
  }
}

// Reference: the definition, with everything computed anew for each step.
TEST(CostComplexityTest, PathMakesWeakestLinksLeaves) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const Tree tree = SmallTree(seed);
    std::vector<uint8_t> leaf(tree.feature.size());
    for (int t = 0; t < tree.node_count(); ++t) leaf[static_cast<size_t>(t)] = tree.is_leaf(t);
    const auto below = [&](const auto& self, size_t t) -> Subtree {
      if (leaf[t] != 0) return {OwnRisk(tree, t), 1};
      const Subtree a = self(self, static_cast<size_t>(tree.left[t]));
      const Subtree b = self(self, static_cast<size_t>(tree.right[t]));
      return {a.risk + b.risk, a.leaves + b.leaves};
    };
    const auto reaches = [&](const auto& self, size_t from, size_t t) -> bool {
      if (from == t) return true;
      return leaf[from] == 0 && (self(self, static_cast<size_t>(tree.left[from]), t) ||
                                 self(self, static_cast<size_t>(tree.right[from]), t));
    };
    const PruningPath path = CostComplexityPath(tree);
    ASSERT_EQ(path.alphas.size(), path.impurities.size());
    EXPECT_EQ(path.alphas[0], 0);
    EXPECT_NEAR(path.impurities[0], below(below, 0).risk, 1e-12);
    for (size_t i = 1; i < path.alphas.size(); ++i) {
      size_t weakest = 0;
      double least = HUGE_VAL;
      for (size_t t = 0; t < leaf.size(); ++t) {
        if (leaf[t] != 0 || !reaches(reaches, 0, t)) continue;
        const Subtree subtree = below(below, t);
        const double alpha = (OwnRisk(tree, t) - subtree.risk) / (subtree.leaves - 1);
        if (alpha < least - 1e-13) {
          least = alpha;
          weakest = t;
        }
      }
      leaf[weakest] = 1;
      EXPECT_NEAR(path.alphas[i], least, 1e-12);
      EXPECT_NEAR(path.impurities[i], below(below, 0).risk, 1e-12);
    }
    EXPECT_EQ(leaf[0], 1) << "the path ends with the root alone";
    EXPECT_TRUE(std::is_sorted(path.alphas.begin(), path.alphas.end()));
  }
}

TEST(CostComplexityTest, KeepsWhatItDoesNotPrune) {
  const Tree tree = SmallTree(4);
  EXPECT_TRUE(PruneCostComplexity(tree, 1e-15) == tree);
  const Tree root = PruneCostComplexity(tree, 1e9);
  EXPECT_EQ(root.node_count(), 1);
  EXPECT_EQ(root.weight[0], tree.weight[0]);
  EXPECT_EQ(root.mean[0], tree.mean[0]);
  EXPECT_TRUE(root.level_begin.empty());
  const TrainingSet set = MakeRandomSet(
      {.rows = 40, .categorical_features = 1, .weighted = true, .missing_share = 0.1}, 4);
  const PruningPath path = CostComplexityPath(tree);
  const Tree pruned = PruneCostComplexity(tree, path.alphas[path.alphas.size() / 2]);
  EXPECT_LT(pruned.node_count(), tree.node_count());
  EXPECT_GT(pruned.node_count(), 1);
  // Every row reaches an ancestor of its old leaf, with the same figures.
  for (int64_t row = 0; row < 40; ++row) {
    const int leaf = FindLeaf(pruned, set.columns(), row);
    int node = 0;
    bool found = false;
    while (!found) {
      const size_t t = static_cast<size_t>(node);
      found = tree.weight[t] == pruned.weight[static_cast<size_t>(leaf)] &&
              tree.MeanOf(node)[0] == pruned.MeanOf(leaf)[0];
      if (found || tree.is_leaf(node)) break;
      const int end = FindLeaf(tree, set.columns(), row);
      // Parents precede children: the last child on the way to `end` that does not exceed it.
      const auto leads = [&](const auto& self, int from) -> bool {
        if (from == end) return true;
        if (tree.is_leaf(from)) return false;
        return self(self, tree.left[static_cast<size_t>(from)]) ||
               self(self, tree.right[static_cast<size_t>(from)]);
      };
      node = leads(leads, tree.left[t]) ? tree.left[t] : tree.right[t];
    }
    EXPECT_TRUE(found) << "row " << row;
  }
}

TEST(CostComplexityTest, GrowCartPrunesByItsOptions) {
  const TrainingSet set = MakeRandomSet({.rows = 100}, 6);
  v1::CartOptions options = DefaultCart();
  const Tree full = Grow(set, options);
  const PruningPath path = CostComplexityPath(full);
  const double alpha = path.alphas[path.alphas.size() * 3 / 4];
  options.set_ccp_alpha(alpha);
  const Tree pruned = Grow(set, options);
  EXPECT_LT(pruned.node_count(), full.node_count());
  EXPECT_TRUE(pruned == PruneCostComplexity(full, alpha));
}

// Quinlan (1993), section 4.2, gives U25%(0, 6) = 0.206, U25%(0, 9) = 0.143, U25%(0, 1) = 0.750 and
// U25%(1, 16) = 0.157; the last is from the binomial distribution, which is approximated here.
TEST(PessimisticErrorsTest, AreQuinlansFigures) {
  EXPECT_NEAR(PessimisticErrors(0, 6, 0.25) / 6, 0.206, 5e-4);
  EXPECT_NEAR(PessimisticErrors(0, 9, 0.25) / 9, 0.143, 5e-4);
  EXPECT_NEAR(PessimisticErrors(0, 1, 0.25), 0.750, 5e-4);
  EXPECT_NEAR(PessimisticErrors(1, 16, 0.25) / 16, 0.157, 5e-3);
}

// Reference: the upper limit p of the binomial distribution, P(X <= errors; n, p) = confidence.
TEST(PessimisticErrorsTest, ApproximateTheBinomialLimit) {
  for (const int n : {10, 30, 200}) {
    for (const int errors : {1, 3, n / 2}) {
      const auto below = [&](double p) {
        double sum = 0;
        for (int k = 0; k <= errors; ++k) {
          sum += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) +
                          k * std::log(p) + (n - k) * std::log(1 - p));
        }
        return sum;
      };
      double low = 0;
      double high = 1;
      for (int i = 0; i < 60; ++i) {
        const double middle = (low + high) / 2;
        (below(middle) > 0.25 ? low : high) = middle;
      }
      EXPECT_NEAR(PessimisticErrors(errors, n, 0.25) / n, low, 0.06 / std::sqrt(n)) << n;
    }
  }
  double before = 0;
  for (double errors = 0; errors <= 8; errors += 0.25) {
    EXPECT_GT(PessimisticErrors(errors, 8, 0.25), before);
    before = PessimisticErrors(errors, 8, 0.25) - 1e-12;
  }
  EXPECT_EQ(PessimisticErrors(8, 8, 0.25), 8);
}

// Reference: the rule applied by recursion.
TEST(PessimisticPruningTest, ReplacesSubtreesThatMakeNoFewerErrors) {
  int pruned_trees = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const TrainingSet set = MakeRandomSet(
        {.rows = 60, .outputs = 2, .classification = true, .distinct_values = 6}, seed);
    v1::CartOptions options = DefaultCart();
    options.set_min_samples_leaf(3);
    const Tree tree = Grow(set, options);
    int leaves = 0;
    const auto prune = [&](const auto& self, int node) -> double {
      const auto shares = tree.MeanOf(node);
      const double weight = tree.weight[static_cast<size_t>(node)];
      const double wrong = weight * std::min(shares[0], shares[1]);
      const double as_leaf = PessimisticErrors(wrong, weight, 0.25);
      if (!tree.is_leaf(node)) {
        const int before = leaves;
        const double split = self(self, tree.left[static_cast<size_t>(node)]) +
                             self(self, tree.right[static_cast<size_t>(node)]);
        if (as_leaf > split + 0.1) return split;
        leaves = before;
      }
      ++leaves;
      return as_leaf;
    };
    prune(prune, 0);
    options.set_pruning_confidence(0.25);
    const Tree pruned = Grow(set, options);
    EXPECT_EQ(pruned.leaf_count(), leaves);
    EXPECT_TRUE(pruned == PrunePessimistically(tree, 0.25));
    pruned_trees += pruned.leaf_count() > 1 && pruned.leaf_count() < tree.leaf_count() ? 1 : 0;
  }
  EXPECT_GT(pruned_trees, 5);
}

}  // namespace
}  // namespace trainyard
