// A tree prepared for path-dependent TreeSHAP: everything that rows share, in the order of work.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/explain/row_lanes.h"
#include "core/trees/tree.h"

namespace trainyard {

// One inner node. Plain data: the kernels that read it are compiled for several machines.
struct PathNode {
  double threshold = 0;
  double left_share = 0;  // z of the left child: N(left) / (N(left) + N(right))
  double old_share = 1;   // z of this feature on the path above, 1 for its first split
  int32_t column = 0;     // index among the used features
  // Child: index of an inner node, or ~index of a leaf.
  int32_t left = 0;
  int32_t right = 0;
  int32_t level = 0;       // splits above
  int32_t side = 0;        // 0: left child of its parent, or root; 1: right child
  int32_t previous = -1;   // level of the nearest split above on the same feature; -1: none
  int32_t factors = 0;     // where its b and r stand among the factors
  int32_t level_set = -1;  // categorical: beginning of its set of levels; -1: numeric
  int32_t missing_left = 0;
};

// What to do next with a node.
enum class PathStep : int32_t {
  kEnter,     // before the left child: which rows go left; product for the left child
  kTurn,      // before the right child: product for the right child
  kLeave,     // after both: contribution to the feature, sum for the parent
  kLeafPair,  // all three of a node whose children are leaves
};

struct PathOperation {
  PathStep step;
  int32_t node;
};

struct PathPlan {
  int outputs = 1;       // values per leaf
  int first_output = 0;  // output of the ensemble that the first of them adds to
  int points = 1;        // G, of the quadrature
  int levels = 0;        // splits on the longest path
  std::vector<PathNode> nodes;
  std::vector<PathOperation> operations;
  // Weights of the quadrature, [g].
  std::vector<double> weights;
  // For a share z of the feature above and q_g = z (1 - t_g) + t_g: b_g = t_g / q_g [g], then
  // r_g = z / q_g^2 [g]. Those for z = 1 come first.
  std::vector<double> factors;
  // h of the leaves, [leaf][output].
  std::vector<double> leaf_values;
  LevelSets level_sets;
  // Mean of h over the training rows of the tree, by the shares along the paths, [output].
  std::vector<double> expected;
};

// Prepares a tree; `used` are the features of the ensemble, ascending. O(nodes * G).
PathPlan MakePathPlan(const Tree& tree, std::span<const int32_t> used, int first_output);

// Largest number of distinct features on a path from the root to a leaf.
int MaxPathFeatures(const Tree& tree);

}  // namespace trainyard
