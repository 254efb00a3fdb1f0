#include "core/trees/figs.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/trees/tree_predictor.h"
#include "gtest/gtest.h"
#include "tests/core/trees/tree_test_data.h"

namespace trainyard {
namespace {

v1::FigsOptions Figs(int splits, int trees = 0) {
  v1::FigsOptions options;
  options.set_max_splits(splits);
  options.set_max_trees(trees);
  return options;
}

TreeEnsemble GrowOn(const TrainingSet& set, const v1::FigsOptions& figs,
                    const v1::CartOptions& cart, int threads = 1) {
  ThreadPool pool(threads);
  std::vector<int64_t> table_rows(set.rows);
  std::iota(table_rows.begin(), table_rows.end(), int64_t{0});
  std::vector<uint32_t> rows(set.rows);
  std::iota(rows.begin(), rows.end(), uint32_t{0});
  const auto features = PresortedFeatures::Build(set.columns(), table_rows, pool, {});
  const auto ensemble = GrowFigs(*features, set.target(), set.weights, rows, cart, figs, pool, {});
  EXPECT_TRUE(ensemble.ok()) << ensemble.status();
  return *ensemble;
}

// The algorithm as the paper states it, with every quantity computed afresh at every step: numeric
// features without ties or missing values, one output.
struct SlowFigs {
  struct Leaf {
    size_t tree;
    std::vector<size_t> rows;
  };
  struct Cut {
    double gain = 0;
    size_t feature = 0;
    double threshold = 0;
  };

  const TrainingSet& set;
  std::vector<std::vector<double>> of_tree;  // value of each tree for each row
  std::vector<Leaf> leaves;
  int splits = 0;

  explicit SlowFigs(const TrainingSet& training) : set(training) { AddTree(); }

  void AddTree() {
    Leaf root = {of_tree.size(), std::vector<size_t>(set.rows)};
    std::iota(root.rows.begin(), root.rows.end(), size_t{0});
    leaves.push_back(root);
    of_tree.emplace_back(set.rows, 0.0);
  }

  double LeftOver(size_t tree, size_t row) const {
    double rest = set.values[row];
    for (size_t t = 0; t < of_tree.size(); ++t) rest -= t == tree ? 0 : of_tree[t][row];
    return rest;
  }

  // N i of some rows.
  double Error(size_t tree, const std::vector<size_t>& rows, double* mean) const {
    double weight = 0;
    double sum = 0;
    for (const size_t row : rows) {
      weight += set.WeightOf(row);
      sum += set.WeightOf(row) * LeftOver(tree, row);
    }
    *mean = sum / weight;
    double error = 0;
    for (const size_t row : rows) {
      const double rest = LeftOver(tree, row) - *mean;
      error += set.WeightOf(row) * rest * rest;
    }
    return error;
  }

  std::pair<std::vector<size_t>, std::vector<size_t>> Divide(const Leaf& leaf,
                                                             const Cut& cut) const {
    std::pair<std::vector<size_t>, std::vector<size_t>> sides;
    for (const size_t row : leaf.rows) {
      (set.numbers[cut.feature][row] <= cut.threshold ? sides.first : sides.second).push_back(row);
    }
    return sides;
  }

  Cut BestCut(const Leaf& leaf) const {
    Cut best;
    double mean;
    const double before = Error(leaf.tree, leaf.rows, &mean);
    for (size_t f = 0; f < set.numbers.size(); ++f) {
      for (const size_t row : leaf.rows) {
        Cut cut = {0, f, set.numbers[f][row]};
        const auto [left, right] = Divide(leaf, cut);
        if (right.empty()) continue;
        cut.gain = before - Error(leaf.tree, left, &mean) - Error(leaf.tree, right, &mean);
        if (cut.gain > best.gain) best = cut;
      }
    }
    return best;
  }

  void Step(size_t most_trees) {
    size_t chosen = 0;
    Cut best;
    for (size_t i = 0; i < leaves.size(); ++i) {
      const Cut cut = BestCut(leaves[i]);
      if (cut.gain > best.gain) best = cut, chosen = i;
    }
    const Leaf leaf = leaves[chosen];
    const auto [left, right] = Divide(leaf, best);
    double means[2];
    Error(leaf.tree, left, &means[0]);
    Error(leaf.tree, right, &means[1]);
    for (const size_t row : left) of_tree[leaf.tree][row] = means[0];
    for (const size_t row : right) of_tree[leaf.tree][row] = means[1];
    const bool new_tree = leaf.tree + 1 == of_tree.size() && leaf.rows.size() == set.rows;
    leaves.erase(leaves.begin() + static_cast<ptrdiff_t>(chosen));
    leaves.push_back({leaf.tree, left});
    leaves.push_back({leaf.tree, right});
    ++splits;
    if (new_tree && (most_trees == 0 || of_tree.size() < most_trees)) AddTree();
  }

  double Predict(size_t row) const {
    double sum = 0;
    for (const std::vector<double>& tree : of_tree) sum += tree[row];
    return sum;
  }
};

TEST(FigsTest, AgreesWithTheAlgorithmStepByStep) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    RandomShape shape = {.rows = 60, .numeric_features = 4};
    shape.weighted = seed % 2 == 0;
    const TrainingSet set = MakeRandomSet(shape, seed);
    for (const int most_trees : {0, 1, 2}) {
      SlowFigs slow(set);
      for (int splits = 1; splits <= 9; ++splits) {
        slow.Step(static_cast<size_t>(most_trees));
        const TreeEnsemble ensemble = GrowOn(set, Figs(splits, most_trees), DefaultCart());
        int made = 0;
        for (const Tree& tree : ensemble.trees) made += tree.leaf_count() - 1;
        ASSERT_EQ(made, splits);
        std::vector<double> predicted(set.rows);
        TreePredictor(ensemble).Predict(set.columns(), 0, predicted);
        for (size_t row = 0; row < set.rows; ++row) {
          ASSERT_NEAR(predicted[row], slow.Predict(row), 1e-9)
              << "seed " << seed << ", " << splits << " splits, at most " << most_trees;
        }
      }
    }
  }
}

// With one tree and enough splits it is CART grown best-first.
TEST(FigsTest, IsCartWhereThereIsOneTree) {
  RandomShape shape = {.rows = 300, .categorical_features = 1, .levels = 6, .missing_share = 0.1};
  const TrainingSet set = MakeRandomSet(shape, 3);
  v1::CartOptions cart = DefaultCart();
  cart.set_min_samples_leaf(5);
  const TreeEnsemble figs = GrowOn(set, Figs(11, 1), cart);
  cart.set_max_leaf_nodes(12);
  const Tree tree = Grow(set, cart);
  std::vector<double> one(set.rows);
  std::vector<double> other(set.rows);
  TreePredictor(figs).Predict(set.columns(), 0, one);
  TreePredictor({&tree, 1}, TreeCombination::kMean).Predict(set.columns(), 0, other);
  for (size_t row = 0; row < set.rows; ++row) EXPECT_NEAR(one[row], other[row], 1e-9);
}

// A sum of two steps takes two trees of one split each, where a single tree needs three.
TEST(FigsTest, FindsSums) {
  TrainingSet set;
  set.rows = 64;
  std::vector<double> a, b;
  for (int i = 0; i < 64; ++i) {
    a.push_back(i % 8);
    b.push_back(i / 8);
    set.values.push_back((i % 8 > 3 ? 5 : 0) + (i / 8 > 3 ? 3 : 0));
  }
  set.AddNumbers(a);
  set.AddNumbers(b);
  const TreeEnsemble ensemble = GrowOn(set, Figs(10), DefaultCart());
  ASSERT_EQ(ensemble.trees.size(), 2u);
  EXPECT_EQ(ensemble.trees[0].leaf_count(), 2);
  EXPECT_EQ(ensemble.trees[1].leaf_count(), 2);
}

TEST(FigsTest, LearnsSharesOfClasses) {
  RandomShape shape = {.rows = 200, .outputs = 3, .classification = true};
  const TrainingSet set = MakeRandomSet(shape, 8);
  const TreeEnsemble ensemble = GrowOn(set, Figs(15), DefaultCart());
  EXPECT_EQ(ensemble.link, Link::kClip);
  std::vector<double> raw(set.rows * 3);
  std::vector<double> shares(set.rows * 3);
  TreePredictor(ensemble).PredictRaw(set.columns(), 0, raw);
  TreePredictor(ensemble).Predict(set.columns(), 0, shares);
  for (size_t row = 0; row < set.rows; ++row) {
    EXPECT_NEAR(raw[row * 3] + raw[row * 3 + 1] + raw[row * 3 + 2], 1, 1e-12);
    EXPECT_NEAR(shares[row * 3] + shares[row * 3 + 1] + shares[row * 3 + 2], 1, 1e-12);
  }
}

TEST(FigsTest, MeansAreWeightedMeansOfTheChildren) {
  const TrainingSet set = MakeRandomSet({.rows = 150, .weighted = true}, 4);
  for (const Tree& tree : GrowOn(set, Figs(12), DefaultCart()).trees) {
    for (int t = 0; t < tree.node_count(); ++t) {
      if (tree.is_leaf(t)) continue;
      const size_t a = static_cast<size_t>(tree.left[static_cast<size_t>(t)]);
      const size_t b = static_cast<size_t>(tree.right[static_cast<size_t>(t)]);
      const double weight = tree.weight[a] + tree.weight[b];
      EXPECT_NEAR(tree.weight[static_cast<size_t>(t)], weight, 1e-9);
      EXPECT_NEAR(tree.mean[static_cast<size_t>(t)],
                  (tree.weight[a] * tree.mean[a] + tree.weight[b] * tree.mean[b]) / weight, 1e-12);
    }
  }
}

TEST(FigsTest, DoesNotDependOnTheNumberOfThreadsAndStops) {
  const TrainingSet set =
      MakeRandomSet({.rows = 400, .numeric_features = 7, .categorical_features = 2}, 5);
  EXPECT_TRUE(GrowOn(set, Figs(20), DefaultCart(), 1) == GrowOn(set, Figs(20), DefaultCart(), 5));
  ThreadPool pool(2);
  std::vector<int64_t> table_rows(set.rows);
  std::iota(table_rows.begin(), table_rows.end(), int64_t{0});
  std::vector<uint32_t> rows(set.rows);
  std::iota(rows.begin(), rows.end(), uint32_t{0});
  const auto features = PresortedFeatures::Build(set.columns(), table_rows, pool, {});
  const GrowthHooks hooks = {[] { return absl::CancelledError("enough"); }, {}};
  EXPECT_EQ(GrowFigs(*features, set.target(), {}, rows, DefaultCart(), Figs(5), pool, hooks)
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace trainyard
