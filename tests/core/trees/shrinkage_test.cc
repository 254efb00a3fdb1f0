#include "core/trees/shrinkage.h"

#include <Eigen/Dense>
#include <cmath>

#include "tests/core/trees/tree_test_data.h"

namespace trainyard {
namespace {

using Spec = v1::HierarchicalShrinkageSpec;

const std::vector<double> kStrengths = {0, 0.1, 1, 10, 25, 50, 100, 200, 500};

Tree GrowLeaves(const TrainingSet& set, int leaves) {
  v1::CartOptions options = DefaultCart();
  options.set_max_leaf_nodes(leaves);
  return Grow(set, options);
}

// Which inner nodes and which side of them a row passes: +1 left, -1 right.
std::vector<std::pair<int, int>> PathOf(const Tree& tree, const TrainingSet& set, int64_t row) {
  const int leaf = FindLeaf(tree, set.columns(), row);
  std::vector<int> parent(tree.feature.size(), -1);
  for (int t = 0; t < tree.node_count(); ++t) {
    if (tree.is_leaf(t)) continue;
    parent[static_cast<size_t>(tree.left[static_cast<size_t>(t)])] = t;
    parent[static_cast<size_t>(tree.right[static_cast<size_t>(t)])] = t;
  }
  std::vector<std::pair<int, int>> path;
  for (int node = leaf; node != 0; node = parent[static_cast<size_t>(node)]) {
    const int above = parent[static_cast<size_t>(node)];
    path.emplace_back(above, tree.left[static_cast<size_t>(above)] == node ? 1 : -1);
  }
  return path;
}

// Reference: weighted ridge regression on the basis psi_t = (N(b) 1[left] - N(a) 1[right]) /
// sqrt(N(a) N(b)) with an unpenalised intercept, solved in closed form by Eigen's LDLT.
void ExpectRidgeSolution(const TrainingSet& set, const Tree& tree) {
  std::vector<int> column(tree.feature.size(), -1);
  int columns = 1;
  for (int t = 0; t < tree.node_count(); ++t) {
    if (!tree.is_leaf(t)) column[static_cast<size_t>(t)] = columns++;
  }
  std::vector<int64_t> rows;
  for (size_t row = 0; row < set.rows; ++row) {
    if (set.WeightOf(row) > 0) rows.push_back(static_cast<int64_t>(row));
  }
  const Eigen::Index n = static_cast<Eigen::Index>(rows.size());
  Eigen::MatrixXd design = Eigen::MatrixXd::Zero(n, columns);
  Eigen::MatrixXd response(n, tree.outputs);
  Eigen::VectorXd weight(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    const size_t row = static_cast<size_t>(rows[static_cast<size_t>(i)]);
    weight(i) = set.WeightOf(row);
    design(i, 0) = 1;
    for (const auto& [t, side] : PathOf(tree, set, static_cast<int64_t>(row))) {
      const double a = tree.weight[static_cast<size_t>(tree.left[static_cast<size_t>(t)])];
      const double b = tree.weight[static_cast<size_t>(tree.right[static_cast<size_t>(t)])];
      design(i, column[static_cast<size_t>(t)]) = (side > 0 ? b : -a) / std::sqrt(a * b);
    }
    for (int k = 0; k < tree.outputs; ++k) {
      response(i, k) =
          set.classification()
              ? static_cast<double>(set.classes[row] == k)
              : set.values[row * static_cast<size_t>(tree.outputs) + static_cast<size_t>(k)];
    }
  }
  const Eigen::MatrixXd gram = design.transpose() * weight.asDiagonal() * design;
  const Eigen::MatrixXd right = design.transpose() * weight.asDiagonal() * response;
  for (const double lambda : kStrengths) {
    Eigen::MatrixXd penalised = gram;
    penalised.diagonal().tail(columns - 1).array() += lambda;
    const Eigen::MatrixXd coefficients = penalised.ldlt().solve(right);
    const Eigen::MatrixXd expected = design * coefficients;
    Tree shrunk = tree;
    Shrink(Spec::SCHEME_HIERARCHICAL, lambda, shrunk);
    const double scale = expected.cwiseAbs().maxCoeff();
    for (Eigen::Index i = 0; i < n; ++i) {
      const int leaf = FindLeaf(tree, set.columns(), rows[static_cast<size_t>(i)]);
      for (int k = 0; k < tree.outputs; ++k) {
        ASSERT_NEAR(shrunk.ValueOf(leaf)[static_cast<size_t>(k)], expected(i, k), 1e-12 * scale)
            << "lambda " << lambda;
      }
    }
    // The trace of the hat matrix of the same ridge problem.
    const double trace = (penalised.ldlt().solve(gram)).trace();
    EXPECT_NEAR(EffectiveDegreesOfFreedom(tree, Spec::SCHEME_HIERARCHICAL, lambda), trace,
                1e-10 * trace);
  }
}

TEST(ShrinkageTest, IsRidgeRegressionOnTheSplits) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    for (const bool weighted : {false, true}) {
      const TrainingSet one = MakeRandomSet({.rows = 80, .weighted = weighted}, seed);
      ExpectRidgeSolution(one, GrowLeaves(one, 12));
      ExpectRidgeSolution(one, Grow(one, DefaultCart()));
      const TrainingSet two = MakeRandomSet({.rows = 80, .outputs = 2, .weighted = weighted}, seed);
      ExpectRidgeSolution(two, GrowLeaves(two, 20));
      const TrainingSet classes = MakeRandomSet(
          {.rows = 80, .outputs = 3, .classification = true, .weighted = weighted}, seed);
      ExpectRidgeSolution(classes, GrowLeaves(classes, 20));
      ExpectRidgeSolution(classes, Grow(classes, DefaultCart()));
    }
  }
}

// Reference: equation (1), one strength after the other.
TEST(ShrinkageTest, PathFollowsTheEquationForAnyNumberOfStrengths) {
  std::vector<double> path;
  for (const int outputs : {1, 3}) {
    const TrainingSet set = MakeRandomSet({.rows = 300, .outputs = outputs, .weighted = true}, 11);
    const Tree tree = Grow(set, DefaultCart());
    const size_t width = static_cast<size_t>(outputs);
    for (const size_t strengths : {1, 2, 3, 4, 5, 7, 9, 12, 13, 25, 4}) {
      std::vector<double> lambdas;
      for (size_t j = 0; j < strengths; ++j) lambdas.push_back(static_cast<double>(j * j) / 4);
      ShrinkagePath(tree, Spec::SCHEME_HIERARCHICAL, lambdas, path);
      ASSERT_EQ(path.size(), tree.mean.size() * strengths);
      for (size_t j = 0; j < strengths; ++j) {
        for (size_t k = 0; k < width; ++k) {
          std::vector<double> expected(tree.feature.size());
          expected[0] = tree.mean[k];
          for (size_t t = 0; t < tree.feature.size(); ++t) {
            ASSERT_NEAR(path[(t * strengths + j) * width + k], expected[t], 1e-12);
            if (tree.left[t] < 0) continue;
            for (const int32_t child : {tree.left[t], tree.right[t]}) {
              const size_t c = static_cast<size_t>(child);
              expected[c] = expected[t] + (tree.mean[c * width + k] - tree.mean[t * width + k]) /
                                              (1 + lambdas[j] / tree.weight[t]);
            }
          }
        }
      }
    }
  }
}

TEST(ShrinkageTest, FollowsTheEquationOfThePaper) {
  const TrainingSet set = MakeRandomSet({.rows = 200, .weighted = true}, 9);
  Tree tree = Grow(set, DefaultCart());
  for (const double lambda : kStrengths) {
    Shrink(Spec::SCHEME_HIERARCHICAL, lambda, tree);
    std::vector<double> expected(tree.mean.size());
    expected[0] = tree.mean[0];
    for (size_t t = 0; t < tree.feature.size(); ++t) {
      EXPECT_NEAR(tree.value[t], expected[t], 1e-12);
      if (tree.left[t] < 0) continue;
      for (const int32_t child : {tree.left[t], tree.right[t]}) {
        const size_t c = static_cast<size_t>(child);
        expected[c] = expected[t] + (tree.mean[c] - tree.mean[t]) / (1 + lambda / tree.weight[t]);
      }
    }
  }
}

TEST(ShrinkageTest, ZeroIsTheIdentityAndInfinityTheRootMean) {
  const TrainingSet set =
      MakeRandomSet({.rows = 100, .outputs = 3, .classification = true, .weighted = true}, 4);
  for (const Spec::Scheme scheme : {Spec::SCHEME_UNSPECIFIED, Spec::SCHEME_HIERARCHICAL,
                                    Spec::SCHEME_LEAF_BASED, Spec::SCHEME_CONSTANT}) {
    Tree tree = Grow(set, DefaultCart());
    Shrink(scheme, 37, tree);
    EXPECT_NE(tree.value, tree.mean);
    Shrink(scheme, 0, tree);
    EXPECT_EQ(tree.value, tree.mean);
    Shrink(scheme, HUGE_VAL, tree);
    for (int t = 0; t < tree.node_count(); ++t) {
      if (!tree.is_leaf(t)) continue;
      for (size_t k = 0; k < 3; ++k) EXPECT_EQ(tree.ValueOf(t)[k], tree.mean[k]);
    }
  }
}

TEST(ShrinkageTest, KeepsTheWeightedMeanOfTheLeaves) {
  const TrainingSet set = MakeRandomSet({.rows = 500, .outputs = 2, .weighted = true}, 5);
  Tree tree = Grow(set, DefaultCart());
  for (const double lambda : kStrengths) {
    Shrink(Spec::SCHEME_HIERARCHICAL, lambda, tree);
    for (size_t k = 0; k < 2; ++k) {
      double sum = 0;
      for (int t = 0; t < tree.node_count(); ++t) {
        if (tree.is_leaf(t)) sum += tree.weight[static_cast<size_t>(t)] * tree.ValueOf(t)[k];
      }
      EXPECT_NEAR(sum / tree.weight[0], tree.mean[k], 1e-12);
    }
  }
}

TEST(ShrinkageTest, KeepsProbabilitiesValid) {
  const TrainingSet set =
      MakeRandomSet({.rows = 400, .outputs = 5, .classification = true, .weighted = true}, 6);
  Tree tree = Grow(set, DefaultCart());
  for (const double lambda : {0.0, 1e-9, 0.3, 7.0, 1e6, 1e12}) {
    Shrink(Spec::SCHEME_HIERARCHICAL, lambda, tree);
    for (int t = 0; t < tree.node_count(); ++t) {
      double sum = 0;
      for (const double value : tree.ValueOf(t)) {
        EXPECT_GE(value, 0);
        sum += value;
      }
      EXPECT_NEAR(sum, 1, 1e-12);
    }
  }
}

TEST(ShrinkageTest, ASplitBetweenEqualMeansAddsNothing) {
  TrainingSet set;  // exclusive or: the root's children have equal means
  set.rows = 4;
  set.AddNumbers({0, 0, 1, 1});
  set.AddNumbers({0, 1, 0, 1});
  set.values = {0, 1, 1, 0};
  Tree tree = Grow(set, DefaultCart());
  Shrink(Spec::SCHEME_HIERARCHICAL, 6, tree);
  for (int t = 0; t < tree.node_count(); ++t) {
    const double step = tree.mean[static_cast<size_t>(t)] - 0.5;
    EXPECT_DOUBLE_EQ(tree.value[static_cast<size_t>(t)], 0.5 + step * 2 / (2 + 6));
  }
}

TEST(ShrinkageTest, OtherSchemesFollowTheirEquations) {
  const TrainingSet set = MakeRandomSet({.rows = 100, .weighted = true}, 7);
  Tree tree = Grow(set, DefaultCart());
  const double lambda = 3;
  Shrink(Spec::SCHEME_LEAF_BASED, lambda, tree);
  for (size_t t = 0; t < tree.feature.size(); ++t) {
    const double share = tree.left[t] < 0 ? 1 / (1 + lambda / tree.weight[t]) : 1;
    EXPECT_NEAR(tree.value[t], tree.mean[0] + share * (tree.mean[t] - tree.mean[0]), 1e-12);
  }
  Shrink(Spec::SCHEME_CONSTANT, lambda, tree);
  for (size_t t = 0; t < tree.feature.size(); ++t) {
    EXPECT_NEAR(tree.value[t], tree.mean[0] + (tree.mean[t] - tree.mean[0]) / 4, 1e-12);
  }
}

// Reference: the derivative of each fitted value by its own response, summed over the rows.
TEST(ShrinkageTest, DegreesOfFreedomAreTheTraceOfTheSmoother) {
  const TrainingSet set = MakeRandomSet({.rows = 25, .weighted = true}, 8);
  const Tree tree = GrowLeaves(set, 8);
  for (const Spec::Scheme scheme :
       {Spec::SCHEME_HIERARCHICAL, Spec::SCHEME_LEAF_BASED, Spec::SCHEME_CONSTANT}) {
    double trace = 0;
    for (size_t row = 0; row < set.rows; ++row) {
      if (set.WeightOf(row) == 0) continue;
      // Means are linear in the responses: respond 1 here and 0 elsewhere, structure unchanged.
      Tree impulse = tree;
      std::fill(impulse.mean.begin(), impulse.mean.end(), 0.0);
      impulse.mean[0] = set.WeightOf(row) / tree.weight[0];
      for (const auto& [above, side] : PathOf(tree, set, static_cast<int64_t>(row))) {
        const size_t t = static_cast<size_t>(above);
        const size_t child = static_cast<size_t>(side > 0 ? tree.left[t] : tree.right[t]);
        impulse.mean[child] = set.WeightOf(row) / tree.weight[child];
      }
      Shrink(scheme, 2.5, impulse);
      trace += impulse.ValueOf(FindLeaf(tree, set.columns(), static_cast<int64_t>(row)))[0];
    }
    EXPECT_NEAR(EffectiveDegreesOfFreedom(tree, scheme, 2.5), trace, 1e-10);
  }
}

TEST(ShrinkageTest, ThePathEqualsSingleStrengths) {
  const TrainingSet set = MakeRandomSet({.rows = 60, .outputs = 3, .classification = true}, 2);
  Tree tree = Grow(set, DefaultCart());
  for (const Spec::Scheme scheme :
       {Spec::SCHEME_HIERARCHICAL, Spec::SCHEME_LEAF_BASED, Spec::SCHEME_CONSTANT}) {
    const std::vector<double> path = ShrinkagePath(tree, scheme, kStrengths);
    for (size_t j = 0; j < kStrengths.size(); ++j) {
      Shrink(scheme, kStrengths[j], tree);
      for (size_t t = 0; t < tree.feature.size(); ++t) {
        for (size_t k = 0; k < 3; ++k) {
          EXPECT_EQ(path[(t * kStrengths.size() + j) * 3 + k], tree.value[t * 3 + k]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace trainyard
