#include "core/trees/shrinkage.h"

#include <algorithm>
#include <cstddef>

namespace trainyard {
namespace {

using Spec = v1::HierarchicalShrinkageSpec;

// Values of all nodes for one strength, handed to `store(node, value of output 0 … )`.
template <typename Store>
void ShrinkHierarchically(const Tree& tree, double lambda, std::vector<double>& above,
                          const Store& store) {
  const size_t width = static_cast<size_t>(tree.outputs);
  const size_t count = tree.feature.size();
  // With s(t) = N(t) / (N(t) + lambda), falling along a path t0, t1, …:
  //   h(tl) = s(tl-1) m(tl) + sum over j < l of (s(tj-1) - s(tj)) m(tj), where s(t-1) = 1.
  // `above` holds the sum for each node, `factor` s of its parent.
  above.assign(count * width, 0);
  std::vector<double> factor(count, 1.0);
  for (size_t t = 0; t < count; ++t) {
    const double* mean = tree.mean.data() + t * width;
    const double* sum = above.data() + t * width;
    for (size_t k = 0; k < width; ++k) store(t, k, sum[k] + factor[t] * mean[k]);
    if (tree.left[t] < 0) continue;
    const double own = std::min(factor[t], 1.0 / (1.0 + lambda / tree.weight[t]));
    for (const int32_t child : {tree.left[t], tree.right[t]}) {
      const size_t c = static_cast<size_t>(child);
      factor[c] = own;
      for (size_t k = 0; k < width; ++k) {
        above[c * width + k] = sum[k] + (factor[t] - own) * mean[k];
      }
    }
  }
}

template <typename Store>
void ShrinkTowardsRoot(const Tree& tree, Spec::Scheme scheme, double lambda, const Store& store) {
  const size_t width = static_cast<size_t>(tree.outputs);
  for (size_t t = 0; t < tree.feature.size(); ++t) {
    double share = 1;
    if (scheme == Spec::SCHEME_CONSTANT) share = 1.0 / (1.0 + lambda);
    if (scheme == Spec::SCHEME_LEAF_BASED && tree.left[t] < 0) {
      share = 1.0 / (1.0 + lambda / tree.weight[t]);
    }
    for (size_t k = 0; k < width; ++k) {
      store(t, k, share * tree.mean[t * width + k] + (1.0 - share) * tree.mean[k]);
    }
  }
}

template <typename Store>
void ShrinkOnce(const Tree& tree, Spec::Scheme scheme, double lambda, std::vector<double>& scratch,
                const Store& store) {
  if (scheme == Spec::SCHEME_LEAF_BASED || scheme == Spec::SCHEME_CONSTANT) {
    ShrinkTowardsRoot(tree, scheme, lambda, store);
  } else {
    ShrinkHierarchically(tree, lambda, scratch, store);
  }
}

}  // namespace

std::vector<double> ShrinkagePath(const Tree& tree, ShrinkageScheme scheme,
                                  std::span<const double> lambdas) {
  const size_t width = static_cast<size_t>(tree.outputs);
  std::vector<double> path(tree.mean.size() * lambdas.size());
  std::vector<double> scratch;
  for (size_t j = 0; j < lambdas.size(); ++j) {
    ShrinkOnce(tree, scheme, lambdas[j], scratch, [&](size_t t, size_t k, double value) {
      path[(t * lambdas.size() + j) * width + k] = value;
    });
  }
  return path;
}

void Shrink(ShrinkageScheme scheme, double lambda, Tree& tree) {
  const size_t width = static_cast<size_t>(tree.outputs);
  std::vector<double> scratch;
  tree.value.resize(tree.mean.size());
  ShrinkOnce(tree, scheme, lambda, scratch,
             [&](size_t t, size_t k, double value) { tree.value[t * width + k] = value; });
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
