#include "core/algorithms/quant_bnb/quantile_bounds.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

QuantileOptions::QuantileOptions(const v1::QuantBnbSpec& spec)
    : bound(spec.bound()),
      quantiles(std::max(spec.quantiles(), 2)),
      dominance(spec.min_samples_leaf() <= 1) {
  for (const int rule : spec.disabled_rules()) {
    interval &= rule != v1::QuantBnbSpec::PRUNING_RULE_INTERVAL;
    screening &= rule != v1::QuantBnbSpec::PRUNING_RULE_FEATURE_SCREENING;
    dominance &= rule != v1::QuantBnbSpec::PRUNING_RULE_DOMINANCE;
  }
}

int IndexOf(const SearchNode& node, int feature) {
  const std::span<const int> features = node.features();
  const auto found = std::lower_bound(features.begin(), features.end(), feature);
  return found != features.end() && *found == feature ? static_cast<int>(found - features.begin())
                                                      : -1;
}

int RowsUpTo(const SearchNode& node, int index, uint32_t rank) {
  const std::span<const uint32_t> ranks =
      node.problem().ranks(node.features()[static_cast<size_t>(index)]);
  const std::span<const uint32_t> order = node.order(index);
  const auto end = std::partition_point(order.begin(), order.end(), [&](uint32_t entry) {
    return ranks[node.rows()[entry & kRowMask]] <= rank;
  });
  return static_cast<int>(end - order.begin());
}

bool PairEvaluator::Evaluate(const SearchNode& node, std::span<const PairState> states,
                             std::span<const CutPlan> plans, std::vector<PairBounds>& bounds) {
  bounds.assign(states.size(), PairBounds());
  scanner_.Assign(node);
  counters_.subproblems += static_cast<int64_t>(states.size());
  for (size_t begin = 0; begin < states.size();) {
    const size_t end = BlockEnd(states, plans, begin);
    const size_t count = end - begin;
    if (!EvaluateBlock(node, states.subspan(begin, count), plans.subspan(begin, count),
                       std::span(bounds).subspan(begin, count))) {
      return false;
    }
    begin = end;
  }
  return true;
}

WorkCounters PairEvaluator::TakeCounters() {
  counters_.batches += gaps_.TakeBatches();
  return std::exchange(counters_, WorkCounters());
}

// States of one feature, as many as one batch of scans can serve.
size_t PairEvaluator::BlockEnd(std::span<const PairState> states, std::span<const CutPlan> plans,
                               size_t begin) const {
  const size_t room = static_cast<size_t>(scanner_.max_groups()) * kLanes;
  size_t cuts = 0;
  size_t end = begin;
  while (end < states.size() && states[end].feature == states[begin].feature) {
    cuts += plans[end].cuts.size();
    if (end > begin && cuts > room) break;
    ++end;
  }
  return end;
}

bool PairEvaluator::EvaluateBlock(const SearchNode& node, std::span<const PairState> states,
                                  std::span<const CutPlan> plans, std::span<PairBounds> bounds) {
  const size_t width = static_cast<size_t>(problem_.feature_count());
  values_.resize(std::max(values_.size(), states.size()));
  for (size_t s = 0; s < states.size(); ++s) {
    for (int side = 0; side < 2; ++side) {
      values_[s].relaxed[side].assign(plans[s].cuts.size() * width, 0);
      values_[s].constrained[side].assign(plans[s].cuts.size() * width, kInfinity);
    }
  }
  // Where the node has one value of the feature, one side of any split is empty: nothing is known
  // of the other, and no tree is found.
  const int index = IndexOf(node, states[0].feature);
  if (index >= 0) {
    PlaceRequests(node, index, states, plans);
    if (!ScanPlaces(node, index, states)) return false;
  }
  for (size_t s = 0; s < states.size(); ++s) {
    if (!Summarise(node, states[s], plans[s], values_[s], bounds[s])) return false;
  }
  return true;
}

// Gives each cut a lane. Cuts with all rows on one side share the lane with all rows on the left.
void PairEvaluator::PlaceRequests(const SearchNode& node, int index,
                                  std::span<const PairState> states,
                                  std::span<const CutPlan> plans) {
  requests_.clear();
  places_.clear();
  const int count = node.row_count();
  const auto place_of = [count](const Request& request) {
    return (request.rows_below == 0 ? count : request.rows_below) - 1;
  };
  for (size_t s = 0; s < states.size(); ++s) {
    for (size_t cut = 0; cut < plans[s].cuts.size(); ++cut) {
      requests_.push_back({s, cut, RowsUpTo(node, index, plans[s].cuts[cut]), 0});
      places_.push_back(place_of(requests_.back()));
    }
  }
  std::sort(places_.begin(), places_.end());
  places_.erase(std::unique(places_.begin(), places_.end()), places_.end());
  for (Request& request : requests_) {
    const auto lane = std::lower_bound(places_.begin(), places_.end(), place_of(request));
    request.lane = static_cast<int>(lane - places_.begin());
  }
}

bool PairEvaluator::ScanPlaces(const SearchNode& node, int index,
                               std::span<const PairState> states) {
  const size_t per_batch = static_cast<size_t>(scanner_.max_groups()) * kLanes;
  SideLosses losses[kMaxGroups];
  for (size_t begin = 0; begin < places_.size(); begin += per_batch) {
    std::vector<ThresholdGroup> groups;
    for (size_t at = begin; at < std::min(begin + per_batch, places_.size()); at += kLanes) {
      const size_t lanes = std::min<size_t>(kLanes, places_.size() - at);
      groups.push_back({index, std::span(places_).subspan(at, lanes)});
    }
    scanner_.Prepare(groups);
    ++counters_.batches;
    for (int feature = 0; feature < problem_.feature_count(); ++feature) {
      const bool wanted = std::any_of(states.begin(), states.end(), [&](const PairState& state) {
        return state.left.contains(feature) || state.right.contains(feature);
      });
      if (!wanted) continue;
      if (course_.Ask()) return false;
      const int scanned = IndexOf(node, feature);
      if (scanned >= 0) scanner_.ScanFeature(scanned, scratch_, losses);
      for (size_t g = 0; g < groups.size(); ++g) {
        if (scanned < 0) scanner_.LeafLosses(static_cast<int>(g), losses[g]);
        Scatter(states, feature, static_cast<int>(begin + g * kLanes),
                static_cast<int>(groups[g].places.size()), losses[g], node.row_count());
      }
    }
  }
  return true;
}

// Hands the losses by one child feature to the cuts whose lanes these are.
void PairEvaluator::Scatter(std::span<const PairState> states, int feature, int first_lane,
                            int lanes, const SideLosses& losses, int row_count) {
  for (const Request& request : requests_) {
    const int lane = request.lane - first_lane;
    if (lane < 0 || lane >= lanes) continue;
    const PairState& state = states[request.state];
    Values& values = values_[request.state];
    const size_t at = At(request.cut, feature);
    for (int side = 0; side < 2; ++side) {
      if (!(side == 0 ? state.left : state.right).contains(feature)) continue;
      const int rows = side == 0 ? request.rows_below : row_count - request.rows_below;
      if (rows == 0) continue;
      if (rows == row_count) {
        values.relaxed[side][at] = losses.relaxed[0][lane];
      } else {
        values.relaxed[side][at] = losses.relaxed[side][lane];
        values.constrained[side][at] = losses.constrained[side][lane];
      }
    }
  }
}

// W0, and the gap where asked, for all parts of a state.
bool PairEvaluator::Summarise(const SearchNode& node, const PairState& state, const CutPlan& plan,
                              const Values& values, PairBounds& bounds) {
  FindAchieved(state, plan, values, bounds);
  const bool with_gaps = options_.bound != v1::QuantBnbSpec::BOUND_W0;
  const size_t left_count = static_cast<size_t>(state.left.size());
  const size_t right_count = static_cast<size_t>(state.right.size());
  for (const CutPart& part : plan.parts) {
    std::vector<double> left;
    std::vector<double> right;
    state.left.ForEach([&](int feature) {
      left.push_back(values.relaxed[0][At(static_cast<size_t>(part.below), feature)]);
    });
    state.right.ForEach([&](int feature) {
      right.push_back(values.relaxed[1][At(static_cast<size_t>(part.above), feature)]);
    });
    gap_.assign(left_count * right_count, 0);
    if (with_gaps && part.below < part.above && !gaps_.Add(node, state, plan, part, gap_)) {
      return false;
    }
    PairBounds::Part& result = bounds.parts.emplace_back();
    result.least = kInfinity;
    result.left.assign(left_count, kInfinity);
    result.right.assign(right_count, kInfinity);
    for (size_t l = 0; l < left_count; ++l) {
      for (size_t r = 0; r < right_count; ++r) {
        const double bound =
            problem_.split_penalty() + left[l] + right[r] + gap_[l * right_count + r];
        result.left[l] = std::min(result.left[l], bound);
        result.right[r] = std::min(result.right[r], bound);
      }
      result.least = std::min(result.least, result.left[l]);
    }
  }
  return true;
}

void PairEvaluator::FindAchieved(const PairState& state, const CutPlan& plan, const Values& values,
                                 PairBounds& bounds) const {
  bounds.achieved.loss = kInfinity;
  for (size_t cut = 0; cut < plan.cuts.size(); ++cut) {
    double best[2] = {kInfinity, kInfinity};
    int features[2] = {-1, -1};
    for (int side = 0; side < 2; ++side) {
      (side == 0 ? state.left : state.right).ForEach([&](int feature) {
        const double loss = values.constrained[side][At(cut, feature)];
        if (!(loss < best[side])) return;
        best[side] = loss;
        features[side] = feature;
      });
    }
    const double loss = problem_.split_penalty() + best[0] + best[1];
    if (!(loss < bounds.achieved.loss)) continue;
    bounds.achieved = {loss, state.feature, plan.cuts[cut], features[0], features[1]};
  }
}

}  // namespace trainyard::quant_bnb
