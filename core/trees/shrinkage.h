// Hierarchical shrinkage of a fitted tree (Agarwal, Tan, Ronen, Singh, Yu, ICML 2022) and the two
// schemes it is compared with. Structure, weights and means stay; only the values h change.
#pragma once

#include <span>
#include <vector>

#include "core/trees/tree.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

using ShrinkageScheme = v1::HierarchicalShrinkageSpec::Scheme;

// h for several strengths at once: [node][strength][output] row-major. For lambda >= 0 (infinity
// allowed) in units of row weight, with N and m of `tree`:
//   HIERARCHICAL (and UNSPECIFIED), equation (1): h(root) = m(root), and for a child c of t
//       h(c) = h(t) + (m(c) - m(t)) / (1 + lambda / N(t));
//   LEAF_BASED: h(leaf) = m(root) + (m(leaf) - m(root)) / (1 + lambda / N(leaf)), inner nodes keep
//   m; CONSTANT: h(t) = m(root) + (m(t) - m(root)) / (1 + lambda).
// The hierarchical values are summed as the convex combination of the means along the path that
// they are, so that lambda = 0 gives m bit for bit and probabilities never leave [0, 1]. O(nodes *
// strengths * outputs).
std::vector<double> ShrinkagePath(const Tree& tree, ShrinkageScheme scheme,
                                  std::span<const double> lambdas);

// The same in memory that is used again: `path` gets the size of the result.
void ShrinkagePath(const Tree& tree, ShrinkageScheme scheme, std::span<const double> lambdas,
                   std::vector<double>& path);

// Sets `tree.value` for one strength; starts from `tree.mean`, so that it may be repeated.
void Shrink(ShrinkageScheme scheme, double lambda, Tree& tree);

// Trace of the matrix that maps the training responses to the fitted ones, the structure taken as
// given: 1 + sum over inner nodes of N / (N + lambda) for HIERARCHICAL,
// 1 + sum over leaves of (1 - N(leaf) / N(root)) / (1 + lambda / N(leaf)) for LEAF_BASED,
// 1 + (leaves - 1) / (1 + lambda) for CONSTANT.
double EffectiveDegreesOfFreedom(const Tree& tree, ShrinkageScheme scheme, double lambda);

}  // namespace trainyard
