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

void ThresholdList::Assign(const SearchNode& node, int feature, const RowCosts& costs, double whole,
                           int begin_tag, int end_tag) {
  const std::span<const uint32_t> order = node.order(feature);
  places_.clear();
  cost_before_.assign(1, 0.0);
  double cost = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    cost += costs[order[i] & kRowMask];
    if ((order[i] & kLastOfValue) == 0) continue;
    places_.push_back(static_cast<int>(i));
    cost_before_.push_back(cost);
  }
  places_.pop_back();
  alive_ = count();
  intervals_.assign({{Anchor{-1, 0, whole, begin_tag}, 0, count()},
                     {Anchor{count(), whole, 0, end_tag}, count(), count()}});
}

AnchoredThreshold ThresholdList::At(size_t interval, int threshold, const BoundRules& rules) const {
  AnchoredThreshold at;
  at.threshold = threshold;
  at.before = intervals_[interval].before;
  at.after = intervals_[interval + 1].before;
  at.cost_before = CostBefore(threshold) - CostBefore(at.before.threshold);
  at.cost_after = CostBefore(at.after.threshold) - CostBefore(threshold);
  if (rules.interval) {
    at.left = at.before.left;
    at.right = at.after.right;
  }
  if (rules.neighbourhood) {
    at.left = std::max(at.left, at.after.left - at.cost_after);
    at.right = std::max(at.right, at.before.right - at.cost_before);
  }
  return at;
}

double ThresholdList::Bound(size_t interval, int threshold, const BoundRules& rules) const {
  const Anchor& before = intervals_[interval].before;
  const Anchor& after = intervals_[interval + 1].before;
  double left = 0;
  double right = 0;
  if (rules.interval) {
    left = before.left;
    right = after.right;
  }
  if (rules.neighbourhood) {
    const double here = CostBefore(threshold);
    left = std::max(left, after.left - (CostBefore(after.threshold) - here));
    right = std::max(right, before.right - (here - CostBefore(before.threshold)));
  }
  return left + right;
}

// The least value of the bound over all points between the anchors, thresholds or not.
double ThresholdList::LeastBound(size_t interval, const BoundRules& rules) const {
  const Anchor& before = intervals_[interval].before;
  const Anchor& after = intervals_[interval + 1].before;
  double least = 0;
  if (rules.interval) least = before.left + after.right;
  if (rules.neighbourhood) {
    const double between = CostBefore(after.threshold) - CostBefore(before.threshold);
    least = std::max(least, after.left + before.right - between);
  }
  return least;
}

template <typename Holds>
int ThresholdList::Bisect(int begin, int end, Holds holds) {
  while (begin < end) {
    const int middle = begin + (end - begin) / 2;
    if (holds(middle)) {
      end = middle;
    } else {
      begin = middle + 1;
    }
  }
  return begin;
}

void ThresholdList::Choose(int most, const BoundRules& rules,
                           std::vector<AnchoredThreshold>& chosen) const {
  chosen.clear();
  const int64_t wanted = std::min<int64_t>(most, alive_);
  int64_t passed = 0;  // living thresholds before the interval
  size_t interval = 0;
  for (int64_t i = 0; i < wanted; ++i) {
    const int64_t number = wanted == alive_ ? i : (2 * i + 1) * alive_ / (2 * wanted);
    while (number >= passed + intervals_[interval].end - intervals_[interval].first) {
      passed += intervals_[interval].end - intervals_[interval].first;
      ++interval;
    }
    chosen.push_back(
        At(interval, intervals_[interval].first + static_cast<int>(number - passed), rules));
  }
}

std::vector<Candidate> ThresholdList::Intervals(double penalty, const BoundRules& rules) const {
  std::vector<Candidate> candidates;
  for (size_t i = 0; i + 1 < intervals_.size(); ++i) {
    const Interval& interval = intervals_[i];
    if (interval.first == interval.end) continue;
    Candidate candidate;
    candidate.at = At(i, interval.first + (interval.end - interval.first) / 2, rules);
    candidate.place = place(candidate.at.threshold);
    candidate.bound = LeastBound(i, rules) + penalty;
    const double here = CostBefore(candidate.at.threshold);
    candidate.reach =
        std::max(here - CostBefore(interval.first), CostBefore(interval.end - 1) - here);
    candidates.push_back(candidate);
  }
  return candidates;
}

void ThresholdList::Add(std::span<const Anchor> anchors) {
  merged_.clear();
  size_t next = 0;
  for (const Interval& interval : intervals_) {
    merged_.push_back(interval);
    for (; next < anchors.size() && anchors[next].threshold < interval.end; ++next) {
      const int threshold = anchors[next].threshold;
      merged_.back().end = threshold;
      merged_.push_back({anchors[next], threshold + 1, interval.end});
      --alive_;
    }
  }
  intervals_.swap(merged_);
}

double ThresholdList::Exclude(double limit, double penalty, const BoundRules& rules) {
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i + 1 < intervals_.size(); ++i) {
    Interval& interval = intervals_[i];
    if (interval.first == interval.end) continue;
    const auto bound = [&](int threshold) { return Bound(i, threshold, rules) + penalty; };
    if (LeastBound(i, rules) + penalty >= limit) {
      least = std::min(least, LeastBound(i, rules) + penalty);
      alive_ -= interval.end - interval.first;
      interval.end = interval.first;
      continue;
    }
    // A point of the least bound: to its left the bound falls, to its right it rises.
    const int lowest = Bisect(interval.first, interval.end - 1, [&](int threshold) {
      return bound(threshold) <= bound(threshold + 1);
    });
    if (bound(lowest) >= limit) {
      least = std::min(least, bound(lowest));
      alive_ -= interval.end - interval.first;
      interval.end = interval.first;
      continue;
    }
    const int first =
        Bisect(interval.first, lowest, [&](int threshold) { return bound(threshold) < limit; });
    const int end =
        Bisect(lowest + 1, interval.end, [&](int threshold) { return bound(threshold) >= limit; });
    if (first > interval.first) least = std::min(least, bound(first - 1));
    if (end < interval.end) least = std::min(least, bound(end));
    alive_ -= (first - interval.first) + (interval.end - end);
    interval.first = first;
    interval.end = end;
  }
  return least;
}

void ThresholdList::Close() {
  for (Interval& interval : intervals_) interval.end = interval.first;
  alive_ = 0;
}

double ThresholdList::LeastBound(double penalty, const BoundRules& rules) const {
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i + 1 < intervals_.size(); ++i) {
    if (intervals_[i].first == intervals_[i].end) continue;
    least = std::min(least, LeastBound(i, rules) + penalty);
  }
  return least;
}

}  // namespace trainyard::quant_bnb
