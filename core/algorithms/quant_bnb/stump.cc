#include "core/algorithms/quant_bnb/stump.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The loss of a leaf to which rows are added one by one.
class GrowingLeaf {
 public:
  explicit GrowingLeaf(const SearchProblem& problem)
      : problem_(problem), sums_(static_cast<size_t>(problem.outputs()), 0.0) {}

  void Add(uint32_t row) {
    const double weight = problem_.weights()[row];
    weight_ += weight;
    samples_ += problem_.counts()[row];
    if (!problem_.classification()) {
      AddTargets(row);
    } else if (problem_.costs().empty()) {
      double& sum = sums_[static_cast<size_t>(problem_.classes()[row])];
      sum += weight;
      greatest_ = std::max(greatest_, sum);
    } else {
      const size_t first = static_cast<size_t>(problem_.classes()[row]) * sums_.size();
      for (size_t p = 0; p < sums_.size(); ++p) sums_[p] += weight * problem_.costs()[first + p];
    }
  }

  double loss() const {
    if (problem_.classification()) {
      return problem_.costs().empty() ? weight_ - greatest_
                                      : *std::min_element(sums_.begin(), sums_.end());
    }
    double loss = squares_;
    for (const double sum : sums_) loss -= sum * sum / weight_;
    return std::max(loss, 0.0);
  }
  int64_t samples() const { return samples_; }

 private:
  void AddTargets(uint32_t row) {
    for (size_t o = 0; o < sums_.size(); ++o) {
      sums_[o] += problem_.sums()[row * sums_.size() + o];
      squares_ += problem_.squares()[row * sums_.size() + o];
    }
  }

  const SearchProblem& problem_;
  std::vector<double> sums_;
  double weight_ = 0;
  double greatest_ = 0;
  double squares_ = 0;
  int64_t samples_ = 0;
};

}  // namespace

Stump BestStumpOf(const SearchNode& node, int feature, int64_t min_samples) {
  const SearchProblem& problem = node.problem();
  const std::span<const uint32_t> order = node.order(feature);
  const bool leaf_allowed = node.sample_count() >= min_samples;
  Stump best{leaf_allowed ? node.leaf_loss() : kInfinity, -1, 0};
  std::vector<double> left(order.size());
  GrowingLeaf before(problem);
  for (size_t i = 0; i < order.size(); ++i) {
    before.Add(node.rows()[order[i] & kRowMask]);
    if ((order[i] & kLastOfValue) == 0) continue;
    left[i] = before.samples() >= min_samples ? before.loss() : kInfinity;
  }
  GrowingLeaf after(problem);
  for (size_t i = order.size() - 1; i > 0; --i) {
    after.Add(node.rows()[order[i] & kRowMask]);
    if ((order[i - 1] & kLastOfValue) == 0 || after.samples() < min_samples) continue;
    const double loss = left[i - 1] + after.loss() + problem.split_penalty();
    const bool first = best.feature >= 0 && loss == best.loss;  // places come from the back
    if (loss < best.loss || first) best = {loss, feature, static_cast<int>(i) - 1};
  }
  return best;
}

Stump BestStump(const SearchNode& node, int64_t min_samples) {
  const bool leaf_allowed = node.sample_count() >= min_samples;
  Stump best{leaf_allowed ? node.leaf_loss() : kInfinity, -1, 0};
  for (int f = 0; f < node.feature_count(); ++f) {
    const Stump stump = BestStumpOf(node, f, min_samples);
    if (stump.loss < best.loss) best = stump;
  }
  return best;
}

SearchTree TreeOf(const SearchNode& node, const Stump& stump) {
  if (stump.feature < 0) return SearchTree::Leaf();
  return SearchTree::Join(node.features()[static_cast<size_t>(stump.feature)],
                          node.RankAt(stump.feature, stump.place), SearchTree::Leaf(),
                          SearchTree::Leaf());
}

}  // namespace trainyard::quant_bnb
