#include "core/trees/subtree.h"

#include "tests/core/trees/tree_test_data.h"

namespace trainyard {
namespace {

// A tree with numbers, categories and missing values.
struct Sample {
  TrainingSet set = MakeRandomSet({.rows = 120,
                                   .numeric_features = 2,
                                   .categorical_features = 2,
                                   .levels = 5,
                                   .outputs = 2,
                                   .classification = true,
                                   .missing_share = 0.1},
                                  5);
  Tree tree = Grow(set, DefaultCart());
  std::vector<FeatureColumn> columns = set.columns();
};

TEST(SubtreeTest, RowsFindTheSameLeafFromEveryNodeOfTheirPath) {
  const Sample sample;
  const Tree& tree = sample.tree;
  for (int64_t row = 0; row < 120; ++row) {
    const int leaf = FindLeaf(tree, sample.columns, row);
    std::vector<int32_t> parent(tree.feature.size(), -1);
    for (int t = 0; t < tree.node_count(); ++t) {
      if (tree.is_leaf(t)) continue;
      parent[static_cast<size_t>(tree.left[static_cast<size_t>(t)])] = t;
      parent[static_cast<size_t>(tree.right[static_cast<size_t>(t)])] = t;
    }
    for (int node = leaf; node >= 0; node = parent[static_cast<size_t>(node)]) {
      const Tree part = SubtreeOf(tree, node);
      const size_t found = static_cast<size_t>(FindLeaf(part, sample.columns, row));
      EXPECT_EQ(part.left[found], -1);
      EXPECT_EQ(part.weight[0], tree.weight[static_cast<size_t>(node)]);
      EXPECT_EQ(part.row_count[found], tree.row_count[static_cast<size_t>(leaf)]);
      EXPECT_EQ(part.mean[2 * found + 1], tree.mean[2 * static_cast<size_t>(leaf) + 1]);
    }
  }
}

TEST(SubtreeTest, PartsJoinToTheTreeTheyCameFrom) {
  const Sample sample;
  const Tree& tree = sample.tree;
  ASSERT_GT(tree.node_count(), 10);
  const Tree joined =
      JoinStructure(tree, SubtreeOf(tree, tree.left[0]), SubtreeOf(tree, tree.right[0]));
  // The tree was grown depth first, which is the order of joining.
  EXPECT_EQ(joined.feature, tree.feature);
  EXPECT_EQ(joined.threshold, tree.threshold);
  EXPECT_EQ(joined.left, tree.left);
  EXPECT_EQ(joined.right, tree.right);
  EXPECT_EQ(joined.missing_left, tree.missing_left);
  EXPECT_EQ(joined.level_begin, tree.level_begin);
  EXPECT_EQ(joined.left_levels, tree.left_levels);
  EXPECT_TRUE(joined.weight.empty());
}

TEST(SubtreeTest, ALeafIsLeftOfANodeThatIsCut) {
  const Sample sample;
  const Tree& tree = sample.tree;
  std::vector<uint8_t> cut(tree.feature.size(), 0);
  cut[static_cast<size_t>(tree.left[0])] = 1;
  const Tree rest = MakeLeaves(tree, cut);
  EXPECT_TRUE(rest.is_leaf(rest.left[0]));
  EXPECT_EQ(rest.row_count[1], tree.row_count[static_cast<size_t>(tree.left[0])]);
  EXPECT_EQ(SubtreeOf(rest, rest.right[0]), SubtreeOf(tree, tree.right[0]));
}

}  // namespace
}  // namespace trainyard
