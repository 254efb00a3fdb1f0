#include "core/algorithms/quant_bnb/loss.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "core/trees/subtree.h"
#include "gmock/gmock.h"
#include "tests/core/algorithms/quant_bnb/search_test_data.h"

namespace trainyard {
namespace {

using testing::Each;

RandomShape ShapeOf(bool classification, uint64_t seed) {
  RandomShape shape;
  shape.rows = 60;
  shape.categorical_features = 1;
  shape.outputs = classification ? 3 : 2;
  shape.classification = classification;
  shape.weighted = seed % 2 == 1;
  shape.missing_share = seed % 3 == 0 ? 0.15 : 0;
  shape.distinct_values = 7;
  return shape;
}

// The loss in long double: for every leaf all classes are tried, or the plain sums taken.
double ReferenceLoss(const SearchSet& search, const Tree& tree, double penalty) {
  const OptimalTreeInput& input = search.input();
  std::map<int, std::vector<size_t>> rows_of;
  for (size_t row = 0; row < input.rows.size(); ++row) {
    rows_of[FindLeaf(tree, input.features, input.rows[row])].push_back(row);
  }
  const size_t width = static_cast<size_t>(input.outputs);
  long double total = 0;
  for (const auto& [leaf, rows] : rows_of) {
    const auto weight = [&](size_t row) {
      return static_cast<long double>(search.set().WeightOf(row));
    };
    long double least = HUGE_VALL;
    for (size_t k = 0; input.classification() && k < width; ++k) {
      long double loss = 0;
      for (const size_t row : rows) {
        const size_t actual = static_cast<size_t>(input.classes[row]);
        const double cost =
            input.costs.empty() ? (actual == k ? 0 : 1) : input.costs[actual * width + k];
        loss += weight(row) * cost;
      }
      least = std::min(least, loss);
    }
    if (!input.classification()) {
      least = 0;
      for (size_t k = 0; k < width; ++k) {
        long double n = 0, sum = 0;
        for (const size_t row : rows) {
          n += weight(row);
          sum += weight(row) * input.values[row * width + k];
        }
        for (const size_t row : rows) {
          const long double difference = n > 0 ? input.values[row * width + k] - sum / n : 0;
          least += weight(row) * difference * difference;
        }
      }
    }
    total += least;
  }
  for (int node = 0; node < tree.node_count(); ++node) total += tree.is_leaf(node) ? 0 : penalty;
  return static_cast<double>(total);
}

TEST(TreeLossTest, IsTheSumOverLeavesAndThePenaltyOfEverySplit) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const bool classification = seed % 4 < 2;
    SearchSet search(MakeRandomSet(ShapeOf(classification, seed), seed));
    if (classification && seed % 4 == 1) search.SetCosts({0, 2, 0.5, 7, 0, 1, 1, 3, 0});
    v1::CartOptions cart = DefaultCart();
    cart.set_max_depth(static_cast<int>(seed % 5) + 1);
    const Tree tree = Grow(search.set(), cart);
    v1::QuantBnbSpec spec = DefaultSearch();
    spec.set_split_penalty(seed % 3 == 0 ? 0.75 : 0);
    const double expected = ReferenceLoss(search, tree, spec.split_penalty());
    EXPECT_NEAR(TreeLoss(search.input(), spec, tree), expected, 1e-9 * (1 + expected)) << seed;
  }
}

// The values in the leaves are not what a leaf is measured by.
TEST(TreeLossTest, LooksAtTheStructureOnly) {
  const SearchSet search(MakeRandomSet(ShapeOf(true, 4), 4));
  Tree tree = Grow(search.set(), DefaultCart());
  const v1::QuantBnbSpec spec = DefaultSearch();
  const double before = TreeLoss(search.input(), spec, tree);
  tree.value.assign(tree.value.size(), 0.0);
  tree.mean.clear();
  EXPECT_EQ(TreeLoss(search.input(), spec, tree), before);
}

TEST(TreeLossTest, IsExactForTargetsFarFromZero) {
  RandomShape shape = ShapeOf(false, 0);
  shape.distinct_targets = 9;
  const SearchSet near(MakeRandomSet(shape, 8));
  shape.target_offset = 1e6;
  const SearchSet far(MakeRandomSet(shape, 8));
  v1::CartOptions cart = DefaultCart();
  cart.set_max_depth(3);
  const Tree tree = Grow(near.set(), cart);
  const v1::QuantBnbSpec spec = DefaultSearch();
  const double loss = TreeLoss(near.input(), spec, tree);
  EXPECT_GT(loss, 1);
  EXPECT_NEAR(TreeLoss(far.input(), spec, tree), loss, 1e-9 * loss);
}

// CART's own statistics of the same tree are an account apart.
TEST(FitLeavesTest, GivesWhatCartSaysOfItsTree) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const SearchSet search(MakeRandomSet(ShapeOf(seed % 4 < 2, seed), seed));
    const Tree grown = Grow(search.set(), DefaultCart());
    Tree structure = grown;
    for (auto* statistics :
         {&structure.weight, &structure.impurity, &structure.mean, &structure.value}) {
      statistics->clear();
    }
    structure.row_count.clear();
    const Tree fitted = FitLeaves(search.input(), structure);
    EXPECT_EQ(fitted.feature, grown.feature);
    EXPECT_EQ(fitted.threshold, grown.threshold);
    EXPECT_EQ(fitted.left, grown.left);
    EXPECT_EQ(fitted.right, grown.right);
    EXPECT_EQ(fitted.missing_left, grown.missing_left);
    EXPECT_EQ(fitted.level_begin, grown.level_begin);
    EXPECT_EQ(fitted.left_levels, grown.left_levels);
    EXPECT_EQ(fitted.row_count, grown.row_count);
    EXPECT_EQ(fitted.weight, grown.weight);
    ASSERT_EQ(fitted.mean.size(), grown.mean.size());
    for (size_t i = 0; i < grown.mean.size(); ++i)
      EXPECT_NEAR(fitted.mean[i], grown.mean[i], 1e-12);
    for (size_t i = 0; i < grown.impurity.size(); ++i) {
      EXPECT_NEAR(fitted.impurity[i], grown.impurity[i], 1e-9);
    }
    EXPECT_EQ(fitted.value, fitted.mean);
  }
}

TEST(FitLeavesTest, LeavesOutSplitsWithoutRowsOnOneSide) {
  TrainingSet set;
  set.rows = 4;
  set.outputs = 2;
  set.AddNumbers({1, 2, 3, 4});
  set.classes = {0, 0, 1, 1};
  const SearchSet search(std::move(set));
  // x <= 10, then x <= 2.5, then x <= -1 on the left.
  Tree tree;
  tree.outputs = 2;
  tree.feature = {0, 0, 0, -1, -1, -1, -1};
  tree.threshold = {10, 2.5, -1, 0, 0, 0, 0};
  tree.left = {1, 2, 3, -1, -1, -1, -1};
  tree.right = {6, 5, 4, -1, -1, -1, -1};
  tree.missing_left.assign(7, 0);
  const Tree fitted = FitLeaves(search.input(), tree);
  EXPECT_EQ(fitted.feature, (std::vector<int32_t>{0, -1, -1}));
  EXPECT_EQ(fitted.threshold, (std::vector<double>{2.5, 0, 0}));
  EXPECT_EQ(fitted.row_count, (std::vector<int64_t>{4, 2, 2}));
  EXPECT_EQ(fitted.mean, (std::vector<double>{0.5, 0.5, 1, 0, 0, 1}));
}

// Every way to cut a tree, by brute force over its inner nodes.
void ForEachPruning(const Tree& tree, const std::function<void(const Tree&)>& visit) {
  std::vector<int> inner;
  for (int node = 0; node < tree.node_count(); ++node) {
    if (!tree.is_leaf(node)) inner.push_back(node);
  }
  for (uint32_t mask = 0; mask < (uint32_t{1} << inner.size()); ++mask) {
    std::vector<uint8_t> cut(tree.feature.size(), 0);
    for (size_t i = 0; i < inner.size(); ++i) {
      cut[static_cast<size_t>(inner[i])] = static_cast<uint8_t>(mask >> i & 1);
    }
    visit(MakeLeaves(tree, cut));
  }
}

TEST(PruneToLeastLossTest, NoPruningIsBetterAndNoneOfItsLossIsSmaller) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    SearchSet search(MakeRandomSet(ShapeOf(seed % 4 < 2, seed), seed));
    if (seed % 4 == 1) search.SetCosts({0, 2, 1, 7, 0, 1, 1, 3, 0});
    v1::CartOptions cart = DefaultCart();
    cart.set_max_leaf_nodes(9);
    const Tree tree = Grow(search.set(), cart);
    v1::QuantBnbSpec spec = DefaultSearch();
    spec.set_split_penalty(seed % 3 == 0 ? 0 : 2.5);
    spec.set_min_samples_leaf(seed % 2 == 0 ? 1 : 6);
    const Tree pruned = PruneToLeastLoss(search.input(), spec, tree);
    const double loss = TreeLoss(search.input(), spec, pruned);
    ForEachPruning(tree, [&](const Tree& other) {
      const Tree fitted = FitLeaves(search.input(), other);
      for (int node = 0; node < fitted.node_count(); ++node) {
        if (fitted.row_count[static_cast<size_t>(node)] < spec.min_samples_leaf()) return;
      }
      const double other_loss = TreeLoss(search.input(), spec, other);
      EXPECT_GE(other_loss, loss - 1e-9) << seed;
      if (other_loss <= loss) {
        EXPECT_GE(other.node_count(), pruned.node_count()) << seed;
      }
    });
    const Tree fitted = FitLeaves(search.input(), pruned);
    EXPECT_THAT(fitted.row_count, Each(testing::Ge(spec.min_samples_leaf())));
  }
}

}  // namespace
}  // namespace trainyard
