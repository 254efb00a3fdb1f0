#include "core/algorithms/quant_bnb/threshold_frontier.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <tuple>
#include <vector>

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Tags of the ends of orders.
constexpr int kBeginTag = 0;
constexpr int kEndTag = 1;

}  // namespace

void ThresholdFrontier::Assign(const SearchNode& node, double whole,
                               const FeatureBounds& whole_features) {
  node_ = &node;
  penalty_ = node.problem().split_penalty();
  costs_.Assign(node);
  features_ = static_cast<size_t>(node.feature_count());
  children_.resize(2);
  children_[kBeginTag] = {{FeatureBounds(), whole_features}};
  children_[kEndTag] = {{whole_features, FeatureBounds()}};
  bounds_.assign(features_, kInfinity);
  if (lists_.size() < features_) lists_.resize(features_);
  for (size_t f = 0; f < features_; ++f) {
    lists_[f].Assign(node, static_cast<int>(f), costs_, whole, kBeginTag, kEndTag);
  }
}

void ThresholdFrontier::CloseFeatures(const FeatureBounds& known, double limit) {
  for (size_t f = 0; f < features_; ++f) {
    const double bound = known[static_cast<size_t>(node_->features()[f])];
    if (bound < limit) continue;
    lists_[f].Close();
    bounds_[f] = bound;
  }
}

void ThresholdFrontier::Exclude(double limit) {
  for (size_t f = 0; f < features_; ++f) {
    bounds_[f] = std::min(bounds_[f], lists_[f].Exclude(limit, penalty_, rules_));
  }
}

double ThresholdFrontier::Summarise(double whole, FeatureBounds* found) const {
  const double least =
      bounds_.empty() ? kInfinity : *std::min_element(bounds_.begin(), bounds_.end());
  if (found == nullptr) return least;
  found->assign(static_cast<size_t>(node_->problem().feature_count()) + 1, whole);
  for (size_t f = 0; f < features_; ++f) {
    double& bound = (*found)[static_cast<size_t>(node_->features()[f])];
    bound = std::min(bound, bounds_[f]);
  }
  return least;
}

std::vector<Candidate> ThresholdFrontier::Choose(int most) const {
  std::vector<Candidate> candidates;
  for (size_t f = 0; f < features_; ++f) {
    for (Candidate& candidate : lists_[f].Intervals(penalty_, rules_)) {
      candidate.feature = static_cast<int>(f);
      candidates.push_back(candidate);
    }
  }
  const auto order = [](const Candidate& a, const Candidate& b) {
    return std::tie(a.bound, a.feature, a.place) < std::tie(b.bound, b.feature, b.place);
  };
  const size_t kept = std::min(candidates.size(), static_cast<size_t>(most));
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(kept),
                    candidates.end(), order);
  candidates.resize(kept);
  return candidates;
}

void ThresholdFrontier::Add(const Candidate& candidate, const Evaluation& evaluation) {
  const int tag = static_cast<int>(children_.size());
  children_.push_back({{evaluation.features[0], evaluation.features[1]}});
  const Anchor anchor{candidate.at.threshold, evaluation.left, evaluation.right, tag};
  double& bound = bounds_[static_cast<size_t>(candidate.feature)];
  bound = std::min(bound, evaluation.left + evaluation.right + penalty_);
  lists_[static_cast<size_t>(candidate.feature)].Add({&anchor, 1});
}

void ThresholdFrontier::KnownFeatures(const Candidate& candidate, int side,
                                      FeatureBounds& known) const {
  const AnchoredThreshold& at = candidate.at;
  const int inside = side == 0 ? at.before.tag : at.after.tag;
  const int outside = side == 0 ? at.after.tag : at.before.tag;
  const double cost = side == 0 ? at.cost_after : at.cost_before;
  known = children_[static_cast<size_t>(inside)].features[side];
  const FeatureBounds& larger = children_[static_cast<size_t>(outside)].features[side];
  if (known.empty()) known.assign(larger.size(), 0.0);
  for (size_t f = 0; f < larger.size(); ++f) known[f] = std::max(known[f], larger[f] - cost);
}

int64_t ThresholdFrontier::alive() const {
  int64_t sum = 0;
  for (size_t f = 0; f < features_; ++f) sum += lists_[f].alive();
  return sum;
}

int64_t ThresholdFrontier::count() const {
  int64_t sum = 0;
  for (size_t f = 0; f < features_; ++f) sum += lists_[f].count();
  return sum;
}

double ThresholdFrontier::LeastBound() const {
  double least = kInfinity;
  for (size_t f = 0; f < features_; ++f) {
    least = std::min(least, lists_[f].LeastBound(penalty_, rules_));
  }
  return least;
}

}  // namespace trainyard::quant_bnb
