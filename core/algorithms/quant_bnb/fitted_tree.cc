// What the rows make of a tree's nodes, and what the tree costs on them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/optimal_tree.h"

namespace trainyard {
namespace {

double WeightOf(const OptimalTreeInput& input, size_t i) {
  return input.weights.empty() ? 1.0 : input.weights[i];
}

// Calls `visit(i, leaf)` for each row of positive weight; i indexes `input.rows`.
template <typename Visit>
void ForEachRow(const OptimalTreeInput& input, const Tree& tree, Visit visit) {
  for (size_t i = 0; i < input.rows.size(); ++i) {
    if (WeightOf(input, i) > 0) {
      visit(i, static_cast<size_t>(FindLeaf(tree, input.features, input.rows[i])));
    }
  }
}

// Adds every node's [width] sums to its parent's, the last nodes first.
template <typename T>
void AddUpwards(const Tree& tree, size_t width, std::vector<T>& sums) {
  for (int node = tree.node_count() - 1; node >= 0; --node) {
    if (tree.is_leaf(node)) continue;
    const size_t at = static_cast<size_t>(node);
    for (const int child : {tree.left[at], tree.right[at]}) {
      for (size_t k = 0; k < width; ++k) {
        sums[at * width + k] += sums[static_cast<size_t>(child) * width + k];
      }
    }
  }
}

// Weights and means (class shares) of all nodes.
void FitMeans(const OptimalTreeInput& input, Tree& tree) {
  const size_t nodes = tree.feature.size();
  const size_t outputs = static_cast<size_t>(input.outputs);
  tree.outputs = input.outputs;
  tree.weight.assign(nodes, 0);
  tree.row_count.assign(nodes, 0);
  tree.mean.assign(nodes * outputs, 0);
  ForEachRow(input, tree, [&](size_t i, size_t leaf) {
    const double weight = WeightOf(input, i);
    tree.weight[leaf] += weight;
    ++tree.row_count[leaf];
    if (input.classification()) {
      tree.mean[leaf * outputs + static_cast<size_t>(input.classes[i])] += weight;
    } else {
      for (size_t o = 0; o < outputs; ++o) {
        tree.mean[leaf * outputs + o] += weight * input.values[i * outputs + o];
      }
    }
  });
  AddUpwards(tree, 1, tree.weight);
  AddUpwards(tree, 1, tree.row_count);
  AddUpwards(tree, outputs, tree.mean);
  for (size_t node = 0; node < nodes; ++node) {
    if (tree.weight[node] <= 0) continue;
    for (size_t o = 0; o < outputs; ++o) tree.mean[node * outputs + o] /= tree.weight[node];
  }
}

// Gini impurity of each node.
void FitGini(Tree& tree) {
  const size_t outputs = static_cast<size_t>(tree.outputs);
  for (size_t node = 0; node < tree.feature.size(); ++node) {
    double impurity = 1;
    for (size_t o = 0; o < outputs; ++o) {
      impurity -= tree.mean[node * outputs + o] * tree.mean[node * outputs + o];
    }
    tree.impurity[node] = tree.weight[node] > 0 ? std::max(impurity, 0.0) : 0;
  }
}

// Weighted sum of squares about the node's mean, of each leaf.
std::vector<double> LeafSquares(const OptimalTreeInput& input, const Tree& tree) {
  const size_t outputs = static_cast<size_t>(input.outputs);
  std::vector<double> squares(tree.feature.size(), 0);
  ForEachRow(input, tree, [&](size_t i, size_t leaf) {
    for (size_t o = 0; o < outputs; ++o) {
      const double off = input.values[i * outputs + o] - tree.mean[leaf * outputs + o];
      squares[leaf] += WeightOf(input, i) * off * off;
    }
  });
  return squares;
}

// Mean squared error of each node, averaged over targets; that of a parent is its children's and
// the distance of their means.
void FitVariance(const OptimalTreeInput& input, Tree& tree) {
  const size_t outputs = static_cast<size_t>(tree.outputs);
  std::vector<double> squares = LeafSquares(input, tree);
  for (int node = tree.node_count() - 1; node >= 0; --node) {
    const size_t at = static_cast<size_t>(node);
    if (!tree.is_leaf(node)) {
      for (const int child : {tree.left[at], tree.right[at]}) {
        const size_t c = static_cast<size_t>(child);
        squares[at] += squares[c];
        for (size_t o = 0; o < outputs; ++o) {
          const double off = tree.mean[c * outputs + o] - tree.mean[at * outputs + o];
          squares[at] += tree.weight[c] * off * off;
        }
      }
    }
    const double divisor = tree.weight[at] * static_cast<double>(outputs);
    tree.impurity[at] = divisor > 0 ? squares[at] / divisor : 0;
  }
}

// The least cost of predicting one class in each leaf, summed over leaves.
double ClassLoss(const OptimalTreeInput& input, const Tree& tree) {
  const size_t outputs = static_cast<size_t>(input.outputs);
  std::vector<double> cost(tree.feature.size() * outputs, 0);
  ForEachRow(input, tree, [&](size_t i, size_t leaf) {
    const size_t actual = static_cast<size_t>(input.classes[i]);
    for (size_t predicted = 0; predicted < outputs; ++predicted) {
      const double unit = input.costs.empty() ? (predicted == actual ? 0.0 : 1.0)
                                              : input.costs[actual * outputs + predicted];
      cost[leaf * outputs + predicted] += WeightOf(input, i) * unit;
    }
  });
  double loss = 0;
  for (auto of_leaf = cost.begin(); of_leaf != cost.end();) {
    const auto end = of_leaf + static_cast<std::ptrdiff_t>(outputs);
    loss += *std::min_element(of_leaf, end);
    of_leaf = end;
  }
  return loss;
}

}  // namespace

Tree FitLeaves(const OptimalTreeInput& input, Tree structure) {
  Tree tree = std::move(structure);
  FitMeans(input, tree);
  tree.impurity.assign(tree.feature.size(), 0);
  if (input.classification()) {
    FitGini(tree);
  } else {
    FitVariance(input, tree);
  }
  tree.value = tree.mean;
  return tree;
}

double TreeLoss(const OptimalTreeInput& input, const v1::QuantBnbSpec& spec, const Tree& tree) {
  double loss = spec.split_penalty() * (tree.leaf_count() - 1);
  if (input.classification()) return loss + ClassLoss(input, tree);
  for (const double squares : LeafSquares(input, FitLeaves(input, tree))) loss += squares;
  return loss;
}

}  // namespace trainyard
