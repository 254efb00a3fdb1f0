#include "core/algorithms/quant_bnb/threshold_list.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

void RowCosts::Assign(const SearchNode& node) {
  const SearchProblem& problem = node.problem();
  const std::span<const uint32_t> rows = node.rows();
  const size_t outputs = static_cast<size_t>(problem.outputs());
  costs_.assign(rows.size(), 0.0);
  if (problem.classification()) {
    for (size_t i = 0; i < rows.size(); ++i) {
      double worst = 1;
      if (!problem.costs().empty()) {
        const auto first =
            problem.costs().begin() +
            static_cast<ptrdiff_t>(static_cast<size_t>(problem.classes()[rows[i]]) * outputs);
        worst = *std::max_element(first, first + static_cast<ptrdiff_t>(outputs));
      }
      costs_[i] = problem.weights()[rows[i]] * worst;
    }
    return;
  }
  for (size_t o = 0; o < outputs; ++o) {
    double least = kInfinity;
    double greatest = -kInfinity;
    for (const uint32_t row : rows) {
      const double mean = problem.sums()[row * outputs + o] / problem.weights()[row];
      least = std::min(least, mean);
      greatest = std::max(greatest, mean);
    }
    for (size_t i = 0; i < rows.size(); ++i) {
      const double sum = problem.sums()[rows[i] * outputs + o];
      const double weight = problem.weights()[rows[i]];
      const double square = problem.squares()[rows[i] * outputs + o];
      const auto error = [&](double value) {
        return square - 2 * value * sum + weight * value * value;
      };
      costs_[i] += std::max({error(least), error(greatest), 0.0});
    }
  }
}

void ThresholdList::Assign(const SearchNode& node, int feature, const RowCosts& costs) {
  const std::span<const uint32_t> order = node.order(feature);
  places_.clear();
  cost_before_.clear();
  double cost = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    cost += costs[order[i] & kRowMask];
    if ((order[i] & kLastOfValue) == 0 || i + 1 == order.size()) continue;
    places_.push_back(static_cast<int>(i));
    cost_before_.push_back(cost);
  }
  alive_.resize(places_.size());
  for (size_t i = 0; i < alive_.size(); ++i) alive_[i] = static_cast<int>(i);
  anchors_.assign({{-1, 0, -kInfinity}, {count(), -kInfinity, 0}});
}

void ThresholdList::Choose(int most, std::vector<int>& chosen) const {
  chosen.clear();
  const int64_t alive = static_cast<int64_t>(alive_.size());
  if (alive <= most) {
    chosen = alive_;
    return;
  }
  for (int64_t i = 0; i < most; ++i) {
    chosen.push_back(alive_[static_cast<size_t>((2 * i + 1) * alive / (2 * most))]);
  }
}

void ThresholdList::Add(std::span<const Anchor> anchors) {
  const auto by_threshold = [](const Anchor& a, const Anchor& b) {
    return a.threshold < b.threshold;
  };
  const ptrdiff_t before = static_cast<ptrdiff_t>(anchors_.size());
  anchors_.insert(anchors_.end(), anchors.begin(), anchors.end());
  std::inplace_merge(anchors_.begin(), anchors_.begin() + before, anchors_.end(), by_threshold);
  size_t next = 0;
  std::erase_if(alive_, [&](int threshold) {
    while (next < anchors.size() && anchors[next].threshold < threshold) ++next;
    return next < anchors.size() && anchors[next].threshold == threshold;
  });
}

ThresholdList::SideBounds ThresholdList::Bounds(const Anchor& before, const Anchor& after,
                                                int threshold, const BoundRules& rules) const {
  const double here = cost_before_[static_cast<size_t>(threshold)];
  SideBounds bounds{0, 0};
  if (rules.interval) bounds = {before.left, after.right};
  if (rules.neighbourhood) {
    if (before.threshold >= 0) {
      const double between = here - cost_before_[static_cast<size_t>(before.threshold)];
      bounds.right = std::max(bounds.right, before.right - between);
    }
    if (after.threshold < count()) {
      const double between = cost_before_[static_cast<size_t>(after.threshold)] - here;
      bounds.left = std::max(bounds.left, after.left - between);
    }
  }
  return bounds;
}

template <typename Use>
void ThresholdList::ForEachBound(double penalty, const BoundRules& rules, Use use) const {
  size_t after = 0;
  for (const int threshold : alive_) {
    while (anchors_[after].threshold < threshold) ++after;
    const SideBounds bounds = Bounds(anchors_[after - 1], anchors_[after], threshold, rules);
    use(threshold, bounds.left + bounds.right + penalty);
  }
}

double ThresholdList::Exclude(double limit, double penalty, const BoundRules& rules) {
  double least = kInfinity;
  size_t kept = 0;
  // Writing follows reading: what is kept stands at or before the place that is read.
  ForEachBound(penalty, rules, [&](int threshold, double bound) {
    if (bound >= limit) {
      least = std::min(least, bound);
    } else {
      alive_[kept++] = threshold;
    }
  });
  alive_.resize(kept);
  return least;
}

double ThresholdList::LeastBound(double penalty, const BoundRules& rules) const {
  double least = kInfinity;
  ForEachBound(penalty, rules, [&](int, double bound) { least = std::min(least, bound); });
  return least;
}

std::vector<Candidate> ThresholdList::Intervals(double penalty, const BoundRules& rules) const {
  std::vector<Candidate> candidates;
  const size_t alive = alive_.size();
  size_t after = 0;
  for (size_t begin = 0; begin < alive;) {
    while (anchors_[after].threshold < alive_[begin]) ++after;
    Candidate candidate;
    candidate.bound = kInfinity;
    size_t end = begin;
    for (; end < alive && alive_[end] < anchors_[after].threshold; ++end) {
      const SideBounds bounds = Bounds(anchors_[after - 1], anchors_[after], alive_[end], rules);
      candidate.bound = std::min(candidate.bound, bounds.left + bounds.right + penalty);
    }
    candidate.threshold = alive_[begin + (end - begin) / 2];
    candidate.place = place(candidate.threshold);
    const SideBounds bounds =
        Bounds(anchors_[after - 1], anchors_[after], candidate.threshold, rules);
    candidate.left = bounds.left;
    candidate.right = bounds.right;
    const auto cost = [&](size_t i) { return cost_before_[static_cast<size_t>(alive_[i])]; };
    const double here = cost_before_[static_cast<size_t>(candidate.threshold)];
    candidate.reach = std::max(here - cost(begin), cost(end - 1) - here);
    candidates.push_back(candidate);
    begin = end;
  }
  return candidates;
}

}  // namespace trainyard::quant_bnb
