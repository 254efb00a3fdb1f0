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
// Rows of an order between two sums that are kept.
constexpr size_t kBlock = 16;

}  // namespace

void RowCosts::Assign(const SearchNode& node) {
  const SearchProblem& problem = node.problem();
  const std::span<const uint32_t> rows = node.rows();
  const size_t outputs = static_cast<size_t>(problem.outputs());
  costs_.assign(rows.size(), 0.0);
  unit_ = false;
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
    unit_ = std::all_of(costs_.begin(), costs_.end(), [](double cost) { return cost == 1; });
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
                           std::span<const KnownCut> known, int begin_tag, int end_tag) {
  order_ = node.order(feature);
  costs_ = &costs;
  FindPlaces();
  AddUpCosts();
  alive_ = count();
  const double cost = CostOfFirst(static_cast<int>(order_.size()));
  intervals_.assign({{Anchor{0, 0, whole, begin_tag}, 0, 0, count()},
                     {Anchor{cost, whole, 0, end_tag}, count(), count(), count()}});
  if (known.empty()) return;
  InsertKnown(node, feature, known);
  Tighten();
}

void ThresholdList::FindPlaces() {
  count_ = -1;  // the last value's end is no threshold
  for (const uint32_t entry : order_) count_ += static_cast<int>(entry >> 31);
  places_.clear();
  if (static_cast<size_t>(count_) + 1 == order_.size()) return;
  places_.reserve(static_cast<size_t>(count_));
  for (size_t i = 0; i + 1 < order_.size(); ++i) {
    if ((order_[i] & kLastOfValue) != 0) places_.push_back(static_cast<int>(i));
  }
}

void ThresholdList::AddUpCosts() {
  cost_blocks_.clear();
  if (costs_->unit()) return;
  cost_blocks_.reserve(order_.size() / kBlock + 1);
  double cost = 0;
  for (size_t i = 0; i < order_.size(); ++i) {
    if (i % kBlock == 0) cost_blocks_.push_back(cost);
    cost += (*costs_)[order_[i] & kRowMask];
  }
}

double ThresholdList::CostOfFirst(int rows) const {
  if (costs_->unit()) return rows;
  const size_t end = static_cast<size_t>(rows);
  if (end == 0) return 0;
  const size_t block = (end - 1) / kBlock;
  double cost = cost_blocks_[block];
  for (size_t i = block * kBlock; i < end; ++i) cost += (*costs_)[order_[i] & kRowMask];
  return cost;
}

// Cuts that lie at a threshold come behind it, so that it stays alive.
void ThresholdList::InsertKnown(const SearchNode& node, int feature,
                                std::span<const KnownCut> known) {
  const Interval end = intervals_.back();
  intervals_.pop_back();
  int passed = 0;
  for (const KnownCut& cut : known) {
    passed = Bisect(passed, count(), [&](int threshold) {
      return node.RankAt(feature, place(threshold)) > cut.rank;
    });
    // Beyond the last threshold there are rows of one value: the cut is inside or behind them.
    if (passed == count()) break;
    if (passed == 0) continue;
    const Anchor anchor{CostBefore(passed - 1), cut.left, cut.right, -1};
    Interval& last = intervals_.back();
    if (last.passed == passed && last.before.tag < 0) {
      last.before.left = std::max(last.before.left, anchor.left);
      last.before.right = std::max(last.before.right, anchor.right);
      continue;
    }
    last.end = passed;
    intervals_.push_back({anchor, passed, passed, count()});
  }
  intervals_.push_back(end);
}

// Lets every anchor know what follows for it from all others: losses on the left rise from cut to
// cut, by no more than the rows between cost; those on the right fall likewise.
void ThresholdList::Tighten() {
  for (size_t i = 1; i < intervals_.size(); ++i) {
    const Anchor& previous = intervals_[i - 1].before;
    Anchor& anchor = intervals_[i].before;
    const double between = anchor.cost - previous.cost;
    if (rules_.interval) anchor.left = std::max(anchor.left, previous.left);
    if (rules_.neighbourhood) anchor.right = std::max(anchor.right, previous.right - between);
  }
  for (size_t i = intervals_.size() - 1; i > 0; --i) {
    const Anchor& next = intervals_[i].before;
    Anchor& anchor = intervals_[i - 1].before;
    const double between = next.cost - anchor.cost;
    if (rules_.interval) anchor.right = std::max(anchor.right, next.right);
    if (rules_.neighbourhood) anchor.left = std::max(anchor.left, next.left - between);
  }
}

void ThresholdList::AppendCuts(const SearchNode& node, int feature,
                               std::vector<KnownCut>& cuts) const {
  for (size_t i = 1; i + 1 < intervals_.size(); ++i) {
    const Anchor& previous = intervals_[i - 1].before;
    const Anchor& anchor = intervals_[i].before;
    const Anchor& next = intervals_[i + 1].before;
    const double left = std::max(previous.left, next.left - (next.cost - anchor.cost));
    const double right = std::max(next.right, previous.right - (anchor.cost - previous.cost));
    if (anchor.left <= left && anchor.right <= right) continue;
    const uint32_t rank = node.RankAt(feature, place(intervals_[i].passed - 1));
    cuts.push_back({rank, anchor.left, anchor.right});
  }
}

AnchoredThreshold ThresholdList::At(size_t interval, int threshold) const {
  AnchoredThreshold at;
  at.threshold = threshold;
  at.before = intervals_[interval].before;
  at.after = intervals_[interval + 1].before;
  at.cost_before = CostBefore(threshold) - at.before.cost;
  at.cost_after = at.after.cost - CostBefore(threshold);
  if (rules_.interval) {
    at.left = at.before.left;
    at.right = at.after.right;
  }
  if (rules_.neighbourhood) {
    at.left = std::max(at.left, at.after.left - at.cost_after);
    at.right = std::max(at.right, at.before.right - at.cost_before);
  }
  return at;
}

double ThresholdList::Bound(size_t interval, int threshold) const {
  const AnchoredThreshold at = At(interval, threshold);
  return at.left + at.right;
}

// The least value of the bound over all points between the anchors, thresholds or not.
double ThresholdList::LeastBound(size_t interval) const {
  const Anchor& before = intervals_[interval].before;
  const Anchor& after = intervals_[interval + 1].before;
  double least = 0;
  if (rules_.interval) least = before.left + after.right;
  if (rules_.neighbourhood) {
    least = std::max(least, after.left + before.right - (after.cost - before.cost));
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

void ThresholdList::Choose(int most, std::vector<AnchoredThreshold>& chosen) const {
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
    chosen.push_back(At(interval, intervals_[interval].first + static_cast<int>(number - passed)));
  }
}

std::vector<Candidate> ThresholdList::Intervals(double penalty) const {
  std::vector<Candidate> candidates;
  for (size_t i = 0; i + 1 < intervals_.size(); ++i) {
    const Interval& interval = intervals_[i];
    if (interval.first == interval.end) continue;
    Candidate candidate;
    candidate.at = At(i, interval.first + (interval.end - interval.first) / 2);
    candidate.place = place(candidate.at.threshold);
    candidate.bound = LeastBound(i) + penalty;
    const double here = CostBefore(candidate.at.threshold);
    candidate.reach =
        std::max(here - CostBefore(interval.first), CostBefore(interval.end - 1) - here);
    candidates.push_back(candidate);
  }
  return candidates;
}

Candidate ThresholdList::CandidateAt(int place) const {
  const int threshold =
      places_.empty() ? place
                      : static_cast<int>(std::lower_bound(places_.begin(), places_.end(), place) -
                                         places_.begin());
  size_t interval = 0;
  while (threshold >= intervals_[interval].end) ++interval;
  Candidate candidate;
  candidate.place = place;
  candidate.at = At(interval, threshold);
  return candidate;
}

void ThresholdList::Add(std::span<const Evaluated> evaluated) {
  merged_.clear();
  size_t next = 0;
  for (const Interval& interval : intervals_) {
    merged_.push_back(interval);
    for (; next < evaluated.size() && evaluated[next].threshold < interval.end; ++next) {
      const int threshold = evaluated[next].threshold;
      Anchor anchor = evaluated[next].anchor;
      anchor.cost = CostBefore(threshold);
      merged_.back().end = threshold;
      merged_.push_back({anchor, threshold + 1, threshold + 1, interval.end});
      --alive_;
    }
  }
  intervals_.swap(merged_);
  Tighten();
}

void ThresholdList::Retag(std::span<const int> tags) {
  for (Interval& interval : intervals_) {
    int& tag = interval.before.tag;
    if (tag >= 0) tag = tags[static_cast<size_t>(tag)];
  }
}

double ThresholdList::Exclude(double limit, double penalty) {
  double least = kInfinity;
  for (size_t i = 0; i + 1 < intervals_.size(); ++i) {
    Interval& interval = intervals_[i];
    if (interval.first == interval.end) continue;
    const Anchor& before = interval.before;
    const Anchor& after = intervals_[i + 1].before;
    int first = interval.first;
    int end = interval.end;
    if (const double lowest = LeastBound(i) + penalty; lowest >= limit) {
      least = std::min(least, lowest);
      end = first;
    } else if (rules_.neighbourhood) {
      // Up to here the loss on the right, as it falls from the anchor before, is too great, and
      // from there on that on the left, as it rises towards the anchor after.
      const double left = rules_.interval ? before.left : 0;
      const double right = rules_.interval ? after.right : 0;
      const double from = before.cost + before.right + left + penalty - limit;
      const double to = after.cost - after.left - right - penalty + limit;
      first = Bisect(first, end, [&](int threshold) { return CostBefore(threshold) > from; });
      end = Bisect(first, end, [&](int threshold) { return CostBefore(threshold) >= to; });
    }
    if (first > interval.first) least = std::min(least, Bound(i, first - 1) + penalty);
    if (end < interval.end) least = std::min(least, Bound(i, end) + penalty);
    alive_ -= (first - interval.first) + (interval.end - end);
    interval.first = first;
    interval.end = end;
  }
  return least;
}

double ThresholdList::LeastBound(double penalty) const {
  double least = kInfinity;
  for (size_t i = 0; i + 1 < intervals_.size(); ++i) {
    if (intervals_[i].first == intervals_[i].end) continue;
    least = std::min(least, LeastBound(i) + penalty);
  }
  return least;
}

}  // namespace trainyard::quant_bnb
