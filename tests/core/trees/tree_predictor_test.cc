#include "core/trees/tree_predictor.h"

#include <cmath>

#include "core/trees/shrinkage.h"
#include "tests/core/trees/tree_test_data.h"

namespace trainyard {
namespace {

const RandomShape kShape = {.rows = 700,
                            .numeric_features = 4,
                            .categorical_features = 2,
                            .levels = 90,
                            .outputs = 2,
                            .missing_share = 0.1};

// Reference of all cases: FindLeaf, the plain walk.
TEST(TreePredictorTest, AgreesWithThePlainWalk) {
  for (const int categorical : {0, 2}) {
    RandomShape shape = kShape;
    shape.categorical_features = categorical;
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      const TrainingSet set = MakeRandomSet(shape, seed);
      v1::CartOptions options = DefaultCart();
      options.set_max_leaf_nodes(seed % 2 != 0 ? 40 : 0);
      const Tree tree = Grow(set, options);
      RandomShape other = shape;
      other.rows = 1201;
      other.levels = 200;  // codes that the tree has never seen
      TrainingSet rows = MakeRandomSet(other, seed + 100);
      for (size_t i = 0; i < rows.rows; i += 17) rows.numbers[0][i] = i % 2 ? HUGE_VAL : -HUGE_VAL;
      std::vector<int64_t> picked;
      for (int64_t row = 1200; row >= 0; row -= 3) picked.push_back(row);
      const TreePredictor predictor({&tree, 1}, TreeCombination::kMean);
      std::vector<int32_t> leaves(picked.size());
      predictor.FindLeaves(rows.columns(), picked, leaves);
      for (size_t i = 0; i < picked.size(); ++i) {
        ASSERT_EQ(leaves[i], FindLeaf(tree, rows.columns(), picked[i])) << "row " << picked[i];
      }
    }
  }
}

TEST(TreePredictorTest, CombinesTreesByMeanAndSum) {
  const TrainingSet set = MakeRandomSet(kShape, 5);
  std::vector<Tree> trees;
  for (const int leaves : {1, 5, 60}) {
    v1::CartOptions options = DefaultCart();
    options.set_max_leaf_nodes(leaves);
    trees.push_back(Grow(set, options));
    Shrink(v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL, 5, trees.back());
  }
  const int64_t begin = 13;
  std::vector<double> mean(2 * 600);
  std::vector<double> sum(2 * 600);
  TreePredictor(trees, TreeCombination::kMean).Predict(set.columns(), begin, mean);
  TreePredictor(trees, TreeCombination::kSum).Predict(set.columns(), begin, sum);
  for (int64_t row = 0; row < 600; ++row) {
    for (size_t k = 0; k < 2; ++k) {
      double expected = 0;
      for (const Tree& tree : trees) {
        expected += tree.ValueOf(FindLeaf(tree, set.columns(), begin + row))[k];
      }
      EXPECT_EQ(sum[static_cast<size_t>(row) * 2 + k], expected);
      EXPECT_EQ(mean[static_cast<size_t>(row) * 2 + k], expected / 3);
    }
  }
}

TEST(TreePredictorTest, HandlesATreeWithoutSplitsAndNoRows) {
  TrainingSet set;
  set.rows = 2;
  set.AddNumbers({1, 1});
  set.values = {3, 5};
  const Tree tree = Grow(set, DefaultCart());
  const TreePredictor predictor({&tree, 1}, TreeCombination::kMean);
  std::vector<double> values(2);
  predictor.Predict({}, 0, values);
  EXPECT_EQ(values, (std::vector<double>{4, 4}));
  predictor.Predict({}, 0, {});
}

}  // namespace
}  // namespace trainyard
