// The first tree against a search over the raw values that shares no code with the learner.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/core/trees/boosting/boosting_test_data.h"

namespace trainyard {
namespace {

// Best-first growth on gradients g = w (base - y), h = w by trying every split of every leaf.
class SlowTree {
 public:
  SlowTree(const TrainingSet& set, const Boost& options, double base)
      : set_(set), options_(options), base_(base) {
    Leaf root;
    for (size_t row = 0; row < set.rows; ++row) {
      if (set.WeightOf(row) > 0) root.rows.push_back(row);
    }
    leaves_.push_back(root);
    Search(leaves_[0]);
    while (static_cast<int>(leaves_.size()) < options.max_leaves()) {
      size_t best = 0;
      for (size_t i = 1; i < leaves_.size(); ++i) {
        if (leaves_[i].gain > leaves_[best].gain) best = i;
      }
      if (leaves_[best].gain <= 1e-9) break;
      Leaf left = {.rows = leaves_[best].left, .depth = leaves_[best].depth + 1};
      Leaf right = {.rows = leaves_[best].right, .depth = leaves_[best].depth + 1};
      Search(left);
      Search(right);
      leaves_[best] = left;
      leaves_.push_back(right);
    }
  }

  // The value of the leaf of every row; NaN for rows of weight 0.
  std::vector<double> Values() const {
    std::vector<double> values(set_.rows, kMissing);
    for (const Leaf& leaf : leaves_) {
      const Sums sums = SumOver(leaf.rows);
      for (const size_t row : leaf.rows) {
        values[row] = -options_.learning_rate() * sums.g / (sums.h + options_.l2());
      }
    }
    return values;
  }

 private:
  struct Leaf {
    std::vector<size_t> rows;
    int depth = 0;
    double gain = 0;
    std::vector<size_t> left;
    std::vector<size_t> right;
  };
  struct Sums {
    double g = 0;
    double h = 0;
  };

  Sums SumOver(const std::vector<size_t>& rows) const {
    Sums sums;
    for (const size_t row : rows) {
      sums.g += set_.WeightOf(row) * (base_ - set_.values[row]);
      sums.h += set_.WeightOf(row);
    }
    return sums;
  }
  double Score(const std::vector<size_t>& rows) const {
    const Sums sums = SumOver(rows);
    return sums.g * sums.g / (sums.h + options_.l2());
  }
  void Try(Leaf& leaf, const std::function<bool(size_t)>& goes_left) const {
    std::vector<size_t> left;
    std::vector<size_t> right;
    for (const size_t row : leaf.rows) (goes_left(row) ? left : right).push_back(row);
    const size_t least = static_cast<size_t>(options_.min_samples_leaf());
    if (left.size() < least || right.size() < least) return;
    if (SumOver(left).h < options_.min_child_weight()) return;
    if (SumOver(right).h < options_.min_child_weight()) return;
    const double gain = Score(left) + Score(right) - Score(leaf.rows);
    if (gain <= leaf.gain) return;
    leaf.gain = gain;
    leaf.left = left;
    leaf.right = right;
  }
  void Search(Leaf& leaf) const {
    if (options_.max_depth() > 0 && leaf.depth >= options_.max_depth()) return;
    for (size_t f = 0; f < set_.level_counts.size(); ++f) {
      const int levels = set_.level_counts[f];
      for (const bool missing_left : {false, true}) {
        if (levels > 0) {
          for (uint32_t subset = 1; subset < (uint32_t{1} << levels); ++subset) {
            Try(leaf, [&](size_t row) {
              const int32_t code = set_.codes[f][row];
              return code < 0 ? missing_left : (subset >> code & 1) != 0;
            });
          }
          continue;
        }
        for (const size_t at : leaf.rows) {
          const double threshold = set_.numbers[f][at];
          if (std::isnan(threshold)) continue;
          Try(leaf, [&](size_t row) {
            const double x = set_.numbers[f][row];
            return std::isnan(x) ? missing_left : x <= threshold;
          });
        }
      }
    }
  }

  const TrainingSet& set_;
  const Boost& options_;
  const double base_;
  std::vector<Leaf> leaves_;
};

void ExpectSameFirstTree(const TrainingSet& set, const Boost& options) {
  const BoostingResult result = MustBoost(set, options);
  ASSERT_EQ(result.ensemble.trees.size(), 1u);
  const Tree& tree = result.ensemble.trees[0];
  const std::vector<double> expected = SlowTree(set, options, result.ensemble.base[0]).Values();
  const std::vector<FeatureColumn> columns = set.columns();
  double weight = 0;
  for (size_t row = 0; row < set.rows; ++row) {
    if (std::isnan(expected[row])) continue;
    const int leaf = FindLeaf(tree, columns, static_cast<int64_t>(row));
    EXPECT_NEAR(tree.ValueOf(leaf)[0], expected[row], 1e-9) << "row " << row;
    weight += set.WeightOf(row);
  }
  EXPECT_NEAR(tree.weight[0], weight, 1e-9);
  EXPECT_EQ(tree.mean, tree.value);
  EXPECT_LE(tree.leaf_count(), options.max_leaves());
}

TEST(FirstTreeTest, EqualsTheSlowSearch) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const RandomShape shape = {.rows = 40 + 10 * (seed % 5),
                               .numeric_features = 3,
                               .weighted = seed % 2 == 1,
                               .missing_share = seed % 3 == 0 ? 0.2 : 0.0};
    Boost options = SmallBoosting(Boost::LOSS_SQUARED_ERROR, 1);
    options.set_l2(static_cast<double>(seed % 4));
    options.set_min_samples_leaf(1 + static_cast<int>(seed % 5));
    options.set_min_child_weight(seed % 7 == 0 ? 4 : 0);
    options.set_max_depth(static_cast<int>(seed % 4));
    options.set_max_leaves(2 + static_cast<int>(seed % 9));
    SCOPED_TRACE(seed);
    ExpectSameFirstTree(MakeRandomSet(shape, seed), options);
  }
}

// With l2 = 0 and no smoothing the best of all sets of levels is a cut of their order by mean
// (Fisher 1958).
TEST(FirstTreeTest, CategoriesAreSplitByTheBestOfAllSets) {
  for (uint64_t seed = 100; seed < 130; ++seed) {
    const RandomShape shape = {.rows = 60,
                               .numeric_features = 1,
                               .categorical_features = 2,
                               .levels = 6,
                               .weighted = seed % 2 == 1,
                               .missing_share = seed % 3 == 0 ? 0.15 : 0.0};
    Boost options = SmallBoosting(Boost::LOSS_SQUARED_ERROR, 1);
    options.set_max_leaves(6);
    SCOPED_TRACE(seed);
    ExpectSameFirstTree(MakeRandomSet(shape, seed), options);
  }
}

TEST(FirstTreeTest, FewHistogramsKeptGiveTheSameTree) {
  const TrainingSet set =
      MakeSetFor(Boost::LOSS_LOGISTIC, {.rows = 3000, .numeric_features = 9}, 3);
  Boost options = SmallBoosting(Boost::LOSS_LOGISTIC, 3);
  options.set_max_leaves(200);
  const BoostingResult all = MustBoost(set, options);
  const BoostingResult few = MustBoost(set, options, {.setup = {.histogram_bytes = 1}});
  EXPECT_GT(all.ensemble.trees[0].leaf_count(), 100);
  EXPECT_EQ(all.ensemble.trees, few.ensemble.trees);
}

TEST(FirstTreeTest, ImpurityDecreasesByTheGain) {
  const TrainingSet set =
      MakeSetFor(Boost::LOSS_LOGISTIC, {.rows = 300, .numeric_features = 4, .weighted = true}, 5);
  Boost options = SmallBoosting(Boost::LOSS_LOGISTIC, 1);
  options.set_l2(0.5);
  const Tree tree = MustBoost(set, options).ensemble.trees[0];
  const auto score = [&](size_t t) {
    // The value gives G / (H + l2); with base p all rows, H = p (1 - p) N(t).
    double ones = 0;
    double total = 0;
    for (size_t row = 0; row < set.rows; ++row) {
      total += set.weights[row];
      ones += set.classes[row] * set.weights[row];
    }
    const double h = ones / total * (1 - ones / total) * tree.weight[t] + options.l2();
    const double ratio = tree.mean[t] / options.learning_rate();
    return ratio * ratio * h;
  };
  for (size_t t = 0; t < tree.feature.size(); ++t) {
    EXPECT_GE(tree.impurity[t], 0);
    if (tree.left[t] < 0) continue;
    const size_t a = static_cast<size_t>(tree.left[t]);
    const size_t b = static_cast<size_t>(tree.right[t]);
    EXPECT_NEAR(tree.weight[t] * tree.impurity[t] - tree.weight[a] * tree.impurity[a] -
                    tree.weight[b] * tree.impurity[b],
                score(a) + score(b) - score(t), 1e-9);
    EXPECT_EQ(tree.row_count[t], tree.row_count[a] + tree.row_count[b]);
  }
}

}  // namespace
}  // namespace trainyard
