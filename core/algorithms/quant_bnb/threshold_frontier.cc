#include "core/algorithms/quant_bnb/threshold_frontier.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Tag of the ends of orders: nothing is known of the children there. Those of anchors count from 1.
constexpr int kEndTag = 0;
// Cuts of a child with more rows are of use where it has at most this share of rows more.
constexpr double kMostRowsMore = 0.25;

}  // namespace

void ThresholdFrontier::Assign(const SearchNode& node, double whole, const KnownCuts& known) {
  node_ = &node;
  penalty_ = node.problem().split_penalty();
  whole_ = std::max(whole, known.whole);
  costs_.Assign(node);
  features_ = static_cast<size_t>(node.feature_count());
  records_.clear();
  bounds_.assign(features_, kInfinity);
  if (lists_.size() < features_) lists_.resize(features_, ThresholdList(rules_));
  for (size_t f = 0; f < features_; ++f) {
    lists_[f].Assign(node, static_cast<int>(f), costs_, whole_, known.Of(node.features()[f]),
                     kEndTag, kEndTag);
  }
}

void ThresholdFrontier::Exclude(double limit) {
  for (size_t f = 0; f < features_; ++f) {
    bounds_[f] = std::min(bounds_[f], lists_[f].Exclude(limit, penalty_));
  }
}

double ThresholdFrontier::Summarise(KnownCuts* found) const {
  if (found != nullptr) {
    const size_t all = static_cast<size_t>(node_->problem().feature_count());
    found->whole = whole_;
    found->begin.assign(all + 1, 0);
    found->cuts.clear();
    size_t own = 0;
    for (size_t f = 0; f < all; ++f) {
      found->begin[f] = static_cast<int32_t>(found->cuts.size());
      if (own == features_ || node_->features()[own] != static_cast<int>(f)) continue;
      lists_[own].AppendCuts(*node_, static_cast<int>(own), found->cuts);
      ++own;
    }
    found->begin[all] = static_cast<int32_t>(found->cuts.size());
  }
  return bounds_.empty() ? kInfinity : *std::min_element(bounds_.begin(), bounds_.end());
}

std::vector<Candidate> ThresholdFrontier::Choose(int most) const {
  std::vector<Candidate> candidates;
  for (size_t f = 0; f < features_; ++f) {
    for (Candidate& candidate : lists_[f].Intervals(penalty_)) {
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

void ThresholdFrontier::Add(const Candidate& candidate, Evaluation evaluation) {
  const size_t feature = static_cast<size_t>(candidate.feature);
  bounds_[feature] = std::min(bounds_[feature], evaluation.left + evaluation.right + penalty_);
  records_.push_back({candidate, std::move(evaluation)});
  const Evaluation& added = records_.back().evaluation;
  const int tag = static_cast<int>(records_.size());
  const ThresholdList::Evaluated evaluated{candidate.at.threshold,
                                           {0, added.left, added.right, tag}};
  lists_[feature].Add({&evaluated, 1});
}

Candidate ThresholdFrontier::At(int feature, int place) const {
  Candidate candidate = lists_[static_cast<size_t>(feature)].CandidateAt(place);
  candidate.feature = feature;
  return candidate;
}

void ThresholdFrontier::Known(const Candidate& candidate, int side, KnownCuts& known) const {
  const AnchoredThreshold& at = candidate.at;
  const int inside = side == 0 ? at.before.tag : at.after.tag;
  const int outside = side == 0 ? at.after.tag : at.before.tag;
  known.clear();
  if (inside > kEndTag) known = records_[static_cast<size_t>(inside - 1)].evaluation.cuts[side];
  if (outside > kEndTag) {
    AddCutsOfMore(candidate, side, records_[static_cast<size_t>(outside - 1)], known);
  }
}

// Adds the cuts of a child that has the rows between the candidate and an anchor too, less what
// these cost on either side of each cut.
void ThresholdFrontier::AddCutsOfMore(const Candidate& candidate, int side, const Record& outside,
                                      KnownCuts& known) const {
  const KnownCuts& from = outside.evaluation.cuts[side];
  if (from.empty()) return;
  const std::span<const uint32_t> order = node_->order(candidate.feature);
  const auto [first, last] = std::minmax(candidate.place, outside.candidate.place);
  const std::span<const uint32_t> more =
      order.subspan(static_cast<size_t>(first) + 1, static_cast<size_t>(last - first));
  const double size = static_cast<double>(side == 0 ? first + 1 : node_->row_count() - last - 1);
  if (static_cast<double>(more.size()) > kMostRowsMore * size) return;
  const SearchProblem& problem = node_->problem();
  double all = 0;
  for (const uint32_t entry : more) all += costs_[entry & kRowMask];
  KnownCuts merged;
  merged.whole = std::max(known.whole, from.whole - all);
  merged.begin.reserve(from.begin.size());
  std::vector<double> taken;  // cost of the rows up to each cut
  for (int f = 0; f < problem.feature_count(); ++f) {
    const std::span<const KnownCut> cuts = from.Of(f);
    merged.begin.push_back(static_cast<int32_t>(merged.cuts.size()));
    taken.assign(cuts.size() + 1, 0.0);
    for (const uint32_t entry : more) {
      const uint32_t rank = problem.ranks(f)[node_->rows()[entry & kRowMask]];
      const auto cut = std::partition_point(cuts.begin(), cuts.end(),
                                            [&](const KnownCut& c) { return c.rank < rank; });
      taken[static_cast<size_t>(cut - cuts.begin())] += costs_[entry & kRowMask];
    }
    std::partial_sum(taken.begin(), taken.end(), taken.begin());
    const std::span<const KnownCut> own = known.Of(f);
    size_t next = 0;
    for (size_t i = 0; i < cuts.size(); ++i) {
      while (next < own.size() && own[next].rank <= cuts[i].rank) {
        merged.cuts.push_back(own[next++]);
      }
      merged.cuts.push_back({cuts[i].rank, std::max(0.0, cuts[i].left - taken[i]),
                             std::max(0.0, cuts[i].right - (all - taken[i]))});
    }
    merged.cuts.insert(merged.cuts.end(), own.begin() + static_cast<ptrdiff_t>(next), own.end());
  }
  merged.begin.push_back(static_cast<int32_t>(merged.cuts.size()));
  known = std::move(merged);
}

void ThresholdFrontier::ForgetChildren() {
  std::vector<bool> used(records_.size() + 1, false);
  for (size_t f = 0; f < features_; ++f) {
    lists_[f].ForEachTagInUse([&](int tag) {
      if (tag >= 0) used[static_cast<size_t>(tag)] = true;
    });
  }
  for (size_t i = 0; i < records_.size(); ++i) {
    if (used[i + 1]) continue;
    records_[i].evaluation.cuts[0] = KnownCuts();
    records_[i].evaluation.cuts[1] = KnownCuts();
  }
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
    least = std::min(least, lists_[f].LeastBound(penalty_));
  }
  return least;
}

}  // namespace trainyard::quant_bnb
