#include "core/trees/tree_predictor.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

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

// Node 2i splits off the leaf 2i + 1, the rows with x <= i.
Tree MakeChain(int splits) {
  Tree tree;
  for (int i = 0; i <= 2 * splits; ++i) {
    const bool split = i % 2 == 0 && i < 2 * splits;
    tree.feature.push_back(split ? 0 : -1);
    tree.threshold.push_back(split ? i / 2 : 0);
    tree.left.push_back(split ? i + 1 : -1);
    tree.right.push_back(split ? i + 2 : -1);
    tree.missing_left.push_back(split && i % 6 == 0);
    tree.weight.push_back(1);
    tree.mean.push_back(i);
    tree.value.push_back(i);
  }
  return tree;
}

// Rows leave the walk at every depth.
TEST(TreePredictorTest, AgreesWithThePlainWalkDownAChain) {
  for (const int splits : {1, 2, 3, 400}) {
    const Tree tree = MakeChain(splits);
    const size_t count = static_cast<size_t>(splits) + 1;
    std::vector<double> x(count);
    std::iota(x.begin(), x.end(), 0.0);
    std::shuffle(x.begin(), x.end(), std::mt19937_64(1));
    for (const bool missing : {false, true}) {
      if (missing) x[count / 2] = NAN;
      const std::vector<FeatureColumn> columns = {FeatureColumn::Numeric(x)};
      std::vector<int64_t> rows(count);
      std::iota(rows.begin(), rows.end(), int64_t{0});
      std::vector<int32_t> leaves(count);
      TreePredictor({&tree, 1}, TreeCombination::kMean).FindLeaves(columns, rows, leaves);
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(leaves[i], FindLeaf(tree, columns, rows[i])) << "row " << i;
      }
    }
  }
}

// Several blocks of rows, each through several trees.
TEST(TreePredictorTest, AgreesWithThePlainWalkBeyondOneBlock) {
  RandomShape shape = kShape;
  shape.rows = 40'001;
  const TrainingSet set = MakeRandomSet(shape, 8);
  std::vector<Tree> trees;
  for (uint64_t i = 0; i < 5; ++i) {
    trees.push_back(Grow(MakeRandomSet(kShape, 30 + i), DefaultCart()));
  }
  std::vector<int64_t> rows(set.rows);
  std::iota(rows.rbegin(), rows.rend(), int64_t{0});
  std::vector<int32_t> leaves(set.rows * trees.size());
  TreePredictor(trees, TreeCombination::kMean).FindLeaves(set.columns(), rows, leaves);
  for (size_t i = 0; i < set.rows; ++i) {
    for (size_t t = 0; t < trees.size(); ++t) {
      ASSERT_EQ(leaves[i * trees.size() + t], FindLeaf(trees[t], set.columns(), rows[i]));
    }
  }
}

void ExpectRestored(const Tree& restored, const Tree& tree) {
  const std::vector<int32_t> order = BreadthFirst(tree);
  ASSERT_EQ(restored.node_count(), tree.node_count());
  ASSERT_EQ(order.size(), tree.feature.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const size_t t = static_cast<size_t>(order[i]);
    const int node = static_cast<int>(i);
    ASSERT_EQ(restored.feature[i], tree.feature[t]);
    ASSERT_EQ(restored.is_leaf(node), tree.is_leaf(order[i]));
    if (tree.is_leaf(order[i])) {
      ASSERT_TRUE(std::ranges::equal(restored.ValueOf(node), tree.ValueOf(order[i])));
      continue;
    }
    ASSERT_EQ(restored.threshold[i], tree.threshold[t]);
    ASSERT_EQ(restored.missing_left[i], tree.missing_left[t]);
    ASSERT_TRUE(std::ranges::equal(restored.LeftLevels(node), tree.LeftLevels(order[i])));
    ASSERT_EQ(order[static_cast<size_t>(restored.left[i])], tree.left[t]);
    ASSERT_EQ(order[static_cast<size_t>(restored.right[i])], tree.right[t]);
  }
}

TEST(TreePredictorTest, RestoresTheEnsemble) {
  std::vector<RandomShape> shapes = {kShape, {.rows = 700, .numeric_features = 600}};
  shapes.push_back(kShape);
  shapes.back().categorical_features = 0;
  for (const RandomShape& shape : shapes) {
    TreeEnsemble ensemble;
    ensemble.outputs = shape.outputs;
    ensemble.combination = TreeCombination::kSum;
    ensemble.link = Link::kExp;
    ensemble.base.assign(static_cast<size_t>(shape.outputs), 0.5);
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      ensemble.trees.push_back(Grow(MakeRandomSet(shape, seed), DefaultCart()));
    }
    v1::CartOptions one_leaf = DefaultCart();
    one_leaf.set_max_leaf_nodes(1);
    ensemble.trees.push_back(Grow(MakeRandomSet(shape, 4), one_leaf));
    TreeEnsemble restored = TreePredictor(ensemble).Restore();
    ASSERT_EQ(restored.trees.size(), ensemble.trees.size());
    for (size_t t = 0; t < ensemble.trees.size(); ++t) {
      ExpectRestored(restored.trees[t], ensemble.trees[t]);
    }
    restored.trees = ensemble.trees;
    EXPECT_TRUE(restored == ensemble);
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

// Values and thresholds that are no floats, and many that round to the same float.
TEST(TreePredictorTest, DecidesAsDoublesWhereFloatsAreEqual) {
  TrainingSet set;
  set.rows = 4000;
  std::mt19937_64 random(3);
  std::vector<double> x(set.rows);
  std::vector<double> whole(set.rows);
  for (size_t i = 0; i < set.rows; ++i) {
    x[i] = (i % 2 ? 1 : -1) * (1 + static_cast<double>(random() % 64) * 1e-9);
    if (i % 5 == 0) x[i] = static_cast<double>(random() % 9) * 4.9e-324;
    whole[i] = static_cast<double>(random() % 50);
    if (i % 101 == 0) x[i] = i % 2 ? 1e300 : -1e300;
    set.values.push_back(static_cast<double>(random() % 1000));
  }
  set.AddNumbers(x);
  set.AddNumbers(whole);
  const Tree tree = Grow(set, DefaultCart());
  ASSERT_GT(tree.leaf_count(), 1000);
  std::vector<int64_t> rows(set.rows);
  std::iota(rows.begin(), rows.end(), int64_t{0});
  std::vector<int32_t> leaves(set.rows);
  TreePredictor({&tree, 1}, TreeCombination::kMean).FindLeaves(set.columns(), rows, leaves);
  for (size_t i = 0; i < set.rows; ++i) {
    ASSERT_EQ(leaves[i], FindLeaf(tree, set.columns(), rows[i])) << "row " << i;
  }
}

// More than 512 features do not fit the small nodes.
TEST(TreePredictorTest, AgreesWithThePlainWalkForManyFeatures) {
  RandomShape shape = {.rows = 700, .numeric_features = 600, .missing_share = 0.1};
  const TrainingSet set = MakeRandomSet(shape, 1);
  std::vector<Tree> trees;
  for (uint64_t i = 0; i < 4; ++i) {
    TrainingSet other = set;
    other.values = MakeRandomSet(shape, 100 + i).values;
    trees.push_back(Grow(other, DefaultCart()));
  }
  std::vector<int64_t> rows(set.rows);
  std::iota(rows.begin(), rows.end(), int64_t{0});
  std::vector<int32_t> leaves(set.rows * trees.size());
  TreePredictor(trees, TreeCombination::kMean).FindLeaves(set.columns(), rows, leaves);
  for (size_t i = 0; i < set.rows; ++i) {
    for (size_t t = 0; t < trees.size(); ++t) {
      ASSERT_EQ(leaves[i * trees.size() + t], FindLeaf(trees[t], set.columns(), rows[i]));
    }
  }
}

// Reference: the definition, computed per row with FindLeaf and std::exp.
TEST(TreePredictorTest, AppliesBaseOutputsAndLinks) {
  const TrainingSet set = MakeRandomSet({.rows = 300}, 9);
  TreeEnsemble ensemble;
  ensemble.combination = TreeCombination::kSum;
  ensemble.link = Link::kSoftmax;
  ensemble.outputs = 3;
  ensemble.base = {0.5, -0.25, 0};
  for (int t = 0; t < 6; ++t) {
    TrainingSet other = set;
    other.values = MakeRandomSet({.rows = 300}, static_cast<uint64_t>(20 + t)).values;
    ensemble.trees.push_back(Grow(other, DefaultCart()));
    ensemble.tree_output.push_back((t * 2) % 3);
  }
  std::vector<double> predicted(300 * 3);
  TreePredictor(ensemble).Predict(set.columns(), 0, predicted);
  for (size_t i = 0; i < 300; ++i) {
    double raw[3] = {0.5, -0.25, 0};
    for (size_t t = 0; t < 6; ++t) {
      const Tree& tree = ensemble.trees[t];
      raw[ensemble.tree_output[t]] +=
          tree.ValueOf(FindLeaf(tree, set.columns(), static_cast<int64_t>(i)))[0];
    }
    double sum = 0;
    for (const double score : raw) sum += std::exp(score);
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_NEAR(predicted[i * 3 + k], std::exp(raw[k]) / sum, 1e-12);
    }
  }
}

TEST(LinkTest, FollowsItsDefinition) {
  std::vector<double> two(4);
  ApplyLink(Link::kLogistic, 1, std::vector<double>{0.3, -800}, two);
  EXPECT_NEAR(two[1], 1 / (1 + std::exp(-0.3)), 1e-15);
  EXPECT_EQ(two[0] + two[1], 1);
  EXPECT_EQ(two[2], 1);
  EXPECT_EQ(two[3], 0);
  std::vector<double> clipped = {1.5, -0.5, 0.25, 0.75, -1, -2};
  ApplyLink(Link::kClip, 2, clipped, clipped);
  EXPECT_EQ(clipped, (std::vector<double>{1, 0, 0.25, 0.75, 0.5, 0.5}));
  std::vector<double> large = {1000, 1000};
  ApplyLink(Link::kSoftmax, 2, large, large);
  EXPECT_EQ(large, (std::vector<double>{0.5, 0.5}));
  std::vector<double> exponent = {2};
  ApplyLink(Link::kExp, 1, exponent, exponent);
  EXPECT_EQ(exponent[0], std::exp(2.0));
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
