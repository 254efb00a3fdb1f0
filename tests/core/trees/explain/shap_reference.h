// Shapley values by their definition, over all subsets of features: what the fast methods must
// equal. Also the ensembles that the tests explain.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <vector>

#include "core/trees/ensemble.h"
#include "core/trees/shrinkage.h"
#include "core/trees/stop_token.h"
#include "tests/core/trees/tree_test_data.h"

namespace trainyard {

// Never stops.
inline StopToken& Unstopped() {
  static auto* const token = new StopToken({});
  return *token;
}

// The worth of a set of features, given as bits.
using Game = std::function<double(uint32_t features)>;

// Raw score of a row by FindLeaf.
inline double RawScore(const TreeEnsemble& ensemble, std::span<const FeatureColumn> columns,
                       int64_t row, int output) {
  double sum = 0;
  for (size_t t = 0; t < ensemble.trees.size(); ++t) {
    const Tree& tree = ensemble.trees[t];
    int k = output;
    if (!ensemble.tree_output.empty()) {
      if (ensemble.tree_output[t] != output) continue;
      k = 0;
    }
    sum += tree.ValueOf(FindLeaf(tree, columns, row))[static_cast<size_t>(k)];
  }
  if (ensemble.combination == TreeCombination::kMean) {
    sum /= static_cast<double>(ensemble.trees.size());
  }
  return sum + (ensemble.base.empty() ? 0 : ensemble.base[static_cast<size_t>(output)]);
}

// Whether FindLeaf sends the row left at a node.
inline bool GoesLeftAt(const Tree& tree, int node, std::span<const FeatureColumn> columns,
                       int64_t row) {
  // A stump with the node's split: FindLeaf itself decides.
  const size_t t = static_cast<size_t>(node);
  Tree stump;
  stump.feature = {tree.feature[t], -1, -1};
  stump.threshold = {tree.threshold[t], 0, 0};
  stump.left = {1, -1, -1};
  stump.right = {2, -1, -1};
  stump.missing_left = {tree.missing_left[t], 0, 0};
  const std::span<const int32_t> levels = tree.LeftLevels(node);
  stump.left_levels.assign(levels.begin(), levels.end());
  const int32_t count = static_cast<int32_t>(levels.size());
  stump.level_begin = {0, count, count, count};
  return FindLeaf(stump, columns, row) == 1;
}

// Expected value below `node` when the features in the set are those of the row and other splits
// are taken by the weights of the children: the recursive definition of path-dependent TreeSHAP.
inline long double PathWorth(const Tree& tree, std::span<const FeatureColumn> columns, int64_t row,
                             uint32_t features, size_t k, int node = 0) {
  if (tree.is_leaf(node)) return tree.ValueOf(node)[k];
  const size_t t = static_cast<size_t>(node);
  const auto below = [&](int32_t child) {
    return PathWorth(tree, columns, row, features, k, child);
  };
  if ((features >> tree.feature[t]) & 1) {
    return below(GoesLeftAt(tree, node, columns, row) ? tree.left[t] : tree.right[t]);
  }
  const long double left = tree.weight[static_cast<size_t>(tree.left[t])];
  const long double right = tree.weight[static_cast<size_t>(tree.right[t])];
  return (left * below(tree.left[t]) + right * below(tree.right[t])) / (left + right);
}

// Combines a worth of single trees as the ensemble combines values.
inline double EnsembleWorth(const TreeEnsemble& ensemble, int output,
                            const std::function<long double(const Tree&, size_t k)>& of_tree) {
  long double sum = 0;
  for (size_t t = 0; t < ensemble.trees.size(); ++t) {
    if (ensemble.tree_output.empty()) {
      sum += of_tree(ensemble.trees[t], static_cast<size_t>(output));
    } else if (ensemble.tree_output[t] == output) {
      sum += of_tree(ensemble.trees[t], 0);
    }
  }
  if (ensemble.combination == TreeCombination::kMean) {
    sum /= static_cast<long double>(ensemble.trees.size());
  }
  return static_cast<double>(sum) +
         (ensemble.base.empty() ? 0 : ensemble.base[static_cast<size_t>(output)]);
}

inline Game PathGame(const TreeEnsemble& ensemble, std::span<const FeatureColumn> columns,
                     int64_t row, int output) {
  return [&ensemble, columns, row, output](uint32_t features) {
    return EnsembleWorth(ensemble, output, [&](const Tree& tree, size_t k) {
      return PathWorth(tree, columns, row, features, k);
    });
  };
}

inline double Factorial(int n) { return std::tgamma(static_cast<double>(n) + 1); }

inline std::vector<double> WorthOfAll(const Game& game, int features) {
  std::vector<double> worth(size_t{1} << features);
  for (size_t set = 0; set < worth.size(); ++set) worth[set] = game(static_cast<uint32_t>(set));
  return worth;
}

// phi_j = sum over A without j of |A|! (p - |A| - 1)! / p! (v(A + j) - v(A)).
inline std::vector<double> ShapleyValues(const Game& game, int features) {
  const std::vector<double> worth = WorthOfAll(game, features);
  std::vector<double> phi(static_cast<size_t>(features), 0.0);
  for (size_t set = 0; set < worth.size(); ++set) {
    const int size = __builtin_popcountll(set);
    for (int j = 0; j < features; ++j) {
      const size_t bit = size_t{1} << j;
      if ((set & bit) != 0) continue;
      phi[static_cast<size_t>(j)] += Factorial(size) * Factorial(features - size - 1) /
                                     Factorial(features) * (worth[set | bit] - worth[set]);
    }
  }
  return phi;
}

// Shapley interaction index, halved: phi_ij = sum over A without i and j of
// |A|! (p - |A| - 2)! / (2 (p - 1)!) (v(A + i + j) - v(A + i) - v(A + j) + v(A)); the diagonal is
// phi_i minus the rest of its row. [i][j].
inline std::vector<double> ShapleyInteractions(const Game& game, int features) {
  const std::vector<double> worth = WorthOfAll(game, features);
  const std::vector<double> phi = ShapleyValues(game, features);
  const size_t p = static_cast<size_t>(features);
  std::vector<double> pairs(p * p, 0.0);
  for (size_t i = 0; i < p; ++i) {
    double rest = 0;
    for (size_t j = 0; j < p; ++j) {
      if (i == j) continue;
      const size_t a = size_t{1} << i;
      const size_t b = size_t{1} << j;
      for (size_t set = 0; set < worth.size(); ++set) {
        if ((set & (a | b)) != 0) continue;
        const int size = __builtin_popcountll(set);
        pairs[i * p + j] += Factorial(size) * Factorial(features - size - 2) /
                            (2 * Factorial(features - 1)) *
                            (worth[set | a | b] - worth[set | a] - worth[set | b] + worth[set]);
      }
      rest += pairs[i * p + j];
    }
    pairs[i * p + i] = phi[i] - rest;
  }
  return pairs;
}

// Trees on random subsets of the rows of a set (so that their weights differ), shrunk by `lambda`.
inline TreeEnsemble MakeForest(const TrainingSet& set, int trees, int max_depth, double lambda,
                               uint64_t seed = 1) {
  TreeEnsemble ensemble;
  ensemble.outputs = set.outputs;
  std::mt19937_64 random(seed);
  v1::CartOptions options = DefaultCart();
  options.set_max_depth(max_depth);
  for (int t = 0; t < trees; ++t) {
    TrainingSet bag = set;
    bag.weights.assign(set.rows, 0.0);
    for (size_t i = 0; i < set.rows; ++i) bag.weights[random() % set.rows] += 1;
    Tree tree = Grow(bag, options);
    Shrink(v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL, lambda, tree);
    ensemble.trees.push_back(std::move(tree));
  }
  return ensemble;
}

// One class score per round and class, as boosting makes them.
inline TreeEnsemble MakeBoosted(const TrainingSet& set, int rounds, int classes, int max_depth) {
  TreeEnsemble ensemble = MakeForest(set, rounds * classes, max_depth, 5);
  ensemble.combination = TreeCombination::kSum;
  ensemble.outputs = classes;
  for (int t = 0; t < rounds * classes; ++t) ensemble.tree_output.push_back(t % classes);
  for (int k = 0; k < classes; ++k) ensemble.base.push_back(0.25 * k - 1);
  ensemble.link = Link::kSoftmax;
  return ensemble;
}

}  // namespace trainyard
