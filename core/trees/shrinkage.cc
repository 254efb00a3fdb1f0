#include "core/trees/shrinkage.h"

#include <algorithm>
#include <cstddef>

namespace trainyard {
namespace {

using Spec = v1::HierarchicalShrinkageSpec;

// Fills in `path`, [node][strength][output]. With s(t) = N(t) / (N(t) + lambda), falling along a
// path t0, t1, …:
//   h(tl) = s(tl-1) m(tl) + sum over j < l of (s(tj-1) - s(tj)) m(tj), where s(t-1) = 1.
// A node's place holds the sum until the node's turn, `factors` s of its parent, [node][strength].
void ShrinkHierarchically(const Tree& tree, std::span<const double> lambdas, double* path) {
  const size_t width = static_cast<size_t>(tree.outputs);
  const size_t strengths = lambdas.size();
  const size_t stride = strengths * width;
  std::vector<double> factors(tree.feature.size() * strengths);
  std::fill_n(factors.begin(), strengths, 1.0);
  std::fill_n(path, stride, 0.0);
  for (size_t t = 0; t < tree.feature.size(); ++t) {
    const double* mean = tree.mean.data() + t * width;
    const double* factor = factors.data() + t * strengths;
    double* own = path + t * stride;
    if (tree.left[t] >= 0) {
      const size_t left = static_cast<size_t>(tree.left[t]);
      const size_t right = static_cast<size_t>(tree.right[t]);
      double* below = factors.data() + left * strengths;
      for (size_t j = 0; j < strengths; ++j) {
        below[j] = std::min(factor[j], 1.0 / (1.0 + lambdas[j] / tree.weight[t]));
      }
      double* sums = path + left * stride;
      for (size_t j = 0; j < strengths; ++j) {
        const double step = factor[j] - below[j];
        for (size_t k = 0; k < width; ++k)
          sums[j * width + k] = own[j * width + k] + step * mean[k];
      }
      std::copy_n(below, strengths, factors.data() + right * strengths);
      std::copy_n(sums, stride, path + right * stride);
    }
    for (size_t j = 0; j < strengths; ++j) {
      for (size_t k = 0; k < width; ++k) own[j * width + k] += factor[j] * mean[k];
    }
  }
}

void ShrinkTowardsRoot(const Tree& tree, Spec::Scheme scheme, std::span<const double> lambdas,
                       double* path) {
  const size_t width = static_cast<size_t>(tree.outputs);
  for (size_t t = 0; t < tree.feature.size(); ++t) {
    for (const double lambda : lambdas) {
      double share = 1;
      if (scheme == Spec::SCHEME_CONSTANT) share = 1.0 / (1.0 + lambda);
      if (scheme == Spec::SCHEME_LEAF_BASED && tree.left[t] < 0) {
        share = 1.0 / (1.0 + lambda / tree.weight[t]);
      }
      for (size_t k = 0; k < width; ++k) {
        *path++ = share * tree.mean[t * width + k] + (1.0 - share) * tree.mean[k];
      }
    }
  }
}

void FillPath(const Tree& tree, ShrinkageScheme scheme, std::span<const double> lambdas,
              double* path) {
  if (scheme == Spec::SCHEME_LEAF_BASED || scheme == Spec::SCHEME_CONSTANT) {
    ShrinkTowardsRoot(tree, scheme, lambdas, path);
  } else {
    ShrinkHierarchically(tree, lambdas, path);
  }
}

}  // namespace

std::vector<double> ShrinkagePath(const Tree& tree, ShrinkageScheme scheme,
                                  std::span<const double> lambdas) {
  std::vector<double> path(tree.mean.size() * lambdas.size());
  if (!lambdas.empty()) FillPath(tree, scheme, lambdas, path.data());
  return path;
}

void Shrink(ShrinkageScheme scheme, double lambda, Tree& tree) {
  tree.value.resize(tree.mean.size());
  FillPath(tree, scheme, {&lambda, 1}, tree.value.data());
}

double EffectiveDegreesOfFreedom(const Tree& tree, ShrinkageScheme scheme, double lambda) {
  double degrees = 1;
  for (size_t t = 0; t < tree.feature.size(); ++t) {
    const double weight = tree.weight[t];
    const bool leaf = tree.left[t] < 0;
    if (scheme == Spec::SCHEME_LEAF_BASED) {
      if (leaf) degrees += (1 - weight / tree.weight[0]) / (1 + lambda / weight);
    } else if (!leaf) {
      degrees += scheme == Spec::SCHEME_CONSTANT ? 1 / (1 + lambda) : 1 / (1 + lambda / weight);
    }
  }
  return degrees;
}

}  // namespace trainyard
