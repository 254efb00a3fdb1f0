#include "core/trees/shrinkage.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace trainyard {
namespace {

using Spec = v1::HierarchicalShrinkageSpec;

// Strengths that are computed together at most.
constexpr size_t kMostStrengths = 12;

using Four = double __attribute__((vector_size(32)));

Four Least(Four a, Four b) { return a < b ? a : b; }

// h of all nodes for strengths [first, first + kCount) of all. With s(t) = N(t) / (N(t) + lambda),
// falling along a path t0, t1, …:
//   h(tl) = s(tl-1) m(tl) + sum over j < l of (s(tj-1) - s(tj)) m(tj), where s(t-1) = 1.
// Goes down depth-first and keeps, for the depth that it is at and those above, s of the parent and
// the sum, which siblings share. The number of strengths is a constant so that they stay in
// registers.
template <size_t kCount>
class HierarchicalPath {
 public:
  HierarchicalPath(const Tree& tree, std::span<const double> lambdas, size_t first, double* path)
      : tree_(tree),
        width_(static_cast<size_t>(tree.outputs)),
        stride_(lambdas.size() * width_),
        path_(path + first * width_) {
    lambdas_ = {};
    std::memcpy(&lambdas_, lambdas.data() + first, kCount * sizeof(double));
  }

  void Fill() {
    Reserve(1);
    levels_[0] = {};
    for (Four& factor : levels_[0]) factor += 1.0;
    for (size_t k = 0; k < width_; ++k) {
      levels_[1 + k] = {};
      Write(0, k, levels_[0], levels_[1 + k]);
    }
    std::vector<Place> open;
    if (!tree_.is_leaf(0)) open.push_back({0, 0});
    while (!open.empty()) {
      const Place place = open.back();
      open.pop_back();
      const size_t t = static_cast<size_t>(place.node);
      Reserve(place.depth + 2);
      Descend(t, levels_.data() + place.depth * (1 + width_));
      if (!tree_.is_leaf(tree_.right[t])) open.push_back({tree_.right[t], place.depth + 1});
      if (!tree_.is_leaf(tree_.left[t])) open.push_back({tree_.left[t], place.depth + 1});
    }
  }

 private:
  // One number per strength; those beyond kCount are unused.
  using Strengths = std::array<Four, (kCount + 3) / 4>;
  struct Place {
    int32_t node;
    size_t depth;
  };

  void Reserve(size_t depths) {
    if (levels_.size() < depths * (1 + width_)) levels_.resize(2 * depths * (1 + width_));
  }

  // Writes both children of `t`, whose level is `own`; the children's follows.
  void Descend(size_t t, Strengths* own) {
    const size_t left = static_cast<size_t>(tree_.left[t]);
    const size_t right = static_cast<size_t>(tree_.right[t]);
    const double weight = tree_.weight[t];
    Strengths* const children = own + 1 + width_;
    Strengths factors;
    Strengths steps;
    for (size_t v = 0; v < factors.size(); ++v) {
      factors[v] = Least(own[0][v], 1.0 / (1.0 + lambdas_[v] / weight));
      steps[v] = own[0][v] - factors[v];
    }
    children[0] = factors;
    for (size_t k = 0; k < width_; ++k) {
      const double mean = tree_.mean[t * width_ + k];
      Strengths sums;
      for (size_t v = 0; v < sums.size(); ++v) sums[v] = own[1 + k][v] + steps[v] * mean;
      children[1 + k] = sums;
      Write(left, k, factors, sums);
      Write(right, k, factors, sums);
    }
  }

  void Write(size_t t, size_t k, const Strengths& factors, const Strengths& sums) {
    const double mean = tree_.mean[t * width_ + k];
    Strengths values;
    for (size_t v = 0; v < values.size(); ++v) values[v] = sums[v] + factors[v] * mean;
    double* const to = path_ + t * stride_ + k;
    if (width_ == 1) {
      std::memcpy(to, &values, kCount * sizeof(double));
    } else {
      for (size_t j = 0; j < kCount; ++j) to[j * width_] = values[j / 4][j % 4];
    }
  }

  const Tree& tree_;
  const size_t width_;
  const size_t stride_;
  double* const path_;
  Strengths lambdas_;
  std::vector<Strengths> levels_;  // by depth: s of the parent, then the sums of every output
};

template <size_t kCount>
void ShrinkSome(const Tree& tree, std::span<const double> lambdas, size_t first, size_t count,
                double* path) {
  if constexpr (kCount > 1) {
    if (count < kCount) return ShrinkSome<kCount - 1>(tree, lambdas, first, count, path);
  }
  HierarchicalPath<kCount>(tree, lambdas, first, path).Fill();
}

void ShrinkHierarchically(const Tree& tree, std::span<const double> lambdas, double* path) {
  for (size_t first = 0; first < lambdas.size(); first += kMostStrengths) {
    const size_t count = std::min(kMostStrengths, lambdas.size() - first);
    ShrinkSome<kMostStrengths>(tree, lambdas, first, count, path);
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

void ShrinkagePath(const Tree& tree, ShrinkageScheme scheme, std::span<const double> lambdas,
                   std::vector<double>& path) {
  path.resize(tree.mean.size() * lambdas.size());
  if (!lambdas.empty()) FillPath(tree, scheme, lambdas, path.data());
}

std::vector<double> ShrinkagePath(const Tree& tree, ShrinkageScheme scheme,
                                  std::span<const double> lambdas) {
  std::vector<double> path;
  ShrinkagePath(tree, scheme, lambdas, path);
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
