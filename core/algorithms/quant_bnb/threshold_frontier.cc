#include "core/algorithms/quant_bnb/threshold_frontier.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <tuple>
#include <vector>

namespace trainyard::quant_bnb {

void ThresholdFrontier::Assign(const SearchNode& node) {
  penalty_ = node.problem().split_penalty();
  costs_.Assign(node);
  features_ = static_cast<size_t>(node.feature_count());
  if (lists_.size() < features_) lists_.resize(features_);
  for (size_t f = 0; f < features_; ++f) lists_[f].Assign(node, static_cast<int>(f), costs_);
}

double ThresholdFrontier::Exclude(double limit) {
  double least = std::numeric_limits<double>::infinity();
  for (size_t f = 0; f < features_; ++f) {
    least = std::min(least, lists_[f].Exclude(limit, penalty_, rules_));
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

void ThresholdFrontier::Add(const Candidate& candidate, double left, double right) {
  const ThresholdList::Anchor anchor{candidate.threshold, left, right};
  lists_[static_cast<size_t>(candidate.feature)].Add({&anchor, 1});
}

int64_t ThresholdFrontier::alive() const {
  int64_t sum = 0;
  for (size_t f = 0; f < features_; ++f) sum += static_cast<int64_t>(lists_[f].alive().size());
  return sum;
}

int64_t ThresholdFrontier::count() const {
  int64_t sum = 0;
  for (size_t f = 0; f < features_; ++f) sum += lists_[f].count();
  return sum;
}

double ThresholdFrontier::LeastBound() const {
  double least = std::numeric_limits<double>::infinity();
  for (size_t f = 0; f < features_; ++f) {
    least = std::min(least, lists_[f].LeastBound(penalty_, rules_));
  }
  return least;
}

}  // namespace trainyard::quant_bnb
