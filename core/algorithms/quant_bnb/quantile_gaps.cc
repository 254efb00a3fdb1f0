// The gap terms of W1 and W2.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/algorithms/quant_bnb/quantile_bounds.h"

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// r of the paper: work for the gap as a share of that for W0.
constexpr double kGapWork = 0.2;

std::vector<int> Members(const FeatureSet& set) {
  std::vector<int> members;
  set.ForEach([&](int feature) { members.push_back(feature); });
  return members;
}

}  // namespace

bool GapBounds::Add(const SearchNode& node, const PairState& state, const CutPlan& plan,
                    const CutPart& part, std::vector<double>& gaps) {
  const SearchNode* inside =
      TakeInside(node, state.feature, plan.cuts[static_cast<size_t>(part.below)],
                 plan.cuts[static_cast<size_t>(part.above)]);
  if (inside == nullptr) return true;
  const int index = IndexOf(*inside, state.feature);
  if (index < 0) return true;
  const bool all = options_.bound == v1::QuantBnbSpec::BOUND_W2;
  std::vector<int> places = InsideCuts(*inside, index, node.row_count());
  const size_t cuts = places.size();
  if (cuts == 0) return true;
  places.push_back(inside->row_count() - 1);
  sides_[0].features = Members(state.left);
  sides_[1].features = Members(state.right);
  if (!Scan(*inside, index, places)) return false;
  std::fill(gaps.begin(), gaps.end(), kInfinity);
  if (!all) {
    // Between neighbouring cuts the samples are left out.
    for (size_t cut = 0; cut <= cuts; ++cut) {
      Lower(cut == 0 ? nullptr : sides_[0].At(cut - 1), cut == cuts ? nullptr : sides_[1].At(cut),
            gaps);
    }
    return true;
  }
  for (size_t cut = 0; cut < cuts; ++cut) Lower(sides_[0].At(cut), sides_[1].At(cut), gaps);
  const bool ends_in_part = part.lo == plan.cuts[static_cast<size_t>(part.below)];
  if (ends_in_part) {
    Lower(nullptr, sides_[1].At(cuts), gaps);
    Lower(sides_[0].At(cuts), nullptr, gaps);
  }
  return true;
}

// Lowers the gap of each pair of features to the sum of these losses; null stands for zeros.
void GapBounds::Lower(const double* left, const double* right, std::vector<double>& gaps) const {
  const size_t left_count = sides_[0].features.size();
  const size_t right_count = sides_[1].features.size();
  for (size_t l = 0; l < left_count; ++l) {
    for (size_t r = 0; r < right_count; ++r) {
      double& gap = gaps[l * right_count + r];
      gap = std::min(gap, (left == nullptr ? 0 : left[l]) + (right == nullptr ? 0 : right[r]));
    }
  }
}

// The rows with ranks in (below, above]; null where they are fewer than two.
const SearchNode* GapBounds::TakeInside(const SearchNode& node, int feature, uint32_t below,
                                        uint32_t above) {
  int index = IndexOf(node, feature);
  if (index < 0) return nullptr;
  const int before = RowsUpTo(node, index, below);
  const int end = RowsUpTo(node, index, above);
  if (end - before < 2) return nullptr;
  const SearchNode* lower = &node;
  if (end < node.row_count()) {
    SearchNode::Split(node, index, end, below_, rest_);
    lower = &below_;
  }
  if (before == 0) return lower;
  SearchNode::Split(*lower, IndexOf(*lower, feature), before, rest_, inside_);
  return &inside_;
}

// Places between values of the inside: all of them for W2; as many quantiles as kGapWork allows for
// W1.
std::vector<int> GapBounds::InsideCuts(const SearchNode& inside, int index, int node_rows) const {
  std::vector<int> ends;
  const std::span<const uint32_t> order = inside.order(index);
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    if ((order[i] & kLastOfValue) != 0) ends.push_back(static_cast<int>(i));
  }
  if (options_.bound == v1::QuantBnbSpec::BOUND_W2) return ends;
  const size_t parts = static_cast<size_t>(
      std::ceil(kGapWork * node_rows * (options_.quantiles - 1) / inside.row_count()));
  if (parts > ends.size()) return ends;
  std::vector<int> cuts;
  for (size_t i = 1; i < parts; ++i) cuts.push_back(ends[i * (ends.size() + 1) / parts - 1]);
  return cuts;
}

bool GapBounds::Scan(const SearchNode& inside, int index, std::span<const int> places) {
  for (SideTable& side : sides_) side.losses.assign(places.size() * side.features.size(), 0);
  scanner_.Assign(inside);
  const size_t per_batch = static_cast<size_t>(scanner_.max_groups()) * kLanes;
  SideLosses losses[kMaxGroups];
  for (size_t begin = 0; begin < places.size(); begin += per_batch) {
    std::vector<ThresholdGroup> groups;
    for (size_t at = begin; at < std::min(begin + per_batch, places.size()); at += kLanes) {
      groups.push_back({index, places.subspan(at, std::min<size_t>(kLanes, places.size() - at))});
    }
    scanner_.Prepare(groups);
    ++batches_;
    for (int feature = 0; feature < inside.problem().feature_count(); ++feature) {
      const bool wanted = std::any_of(sides_, sides_ + 2, [&](const SideTable& side) {
        return std::binary_search(side.features.begin(), side.features.end(), feature);
      });
      if (!wanted) continue;
      if (course_.Ask()) return false;
      const int scanned = IndexOf(inside, feature);
      if (scanned >= 0) scanner_.ScanFeature(scanned, scratch_, losses);
      for (size_t g = 0; g < groups.size(); ++g) {
        if (scanned < 0) scanner_.LeafLosses(static_cast<int>(g), losses[g]);
        // A split was paid for at most.
        const double paid = scanned < 0 ? 0 : inside.problem().split_penalty();
        Fill(losses[g], feature, paid, begin + g * kLanes, groups[g].places.size());
      }
    }
  }
  return true;
}

// Notes the losses without penalty. The last place of all has all rows on its left.
void GapBounds::Fill(const SideLosses& losses, int feature, double paid, size_t first,
                     size_t lanes) {
  for (int side = 0; side < 2; ++side) {
    SideTable& table = sides_[side];
    const auto found = std::lower_bound(table.features.begin(), table.features.end(), feature);
    if (found == table.features.end() || *found != feature) continue;
    const size_t width = table.features.size();
    const size_t column = static_cast<size_t>(found - table.features.begin());
    for (size_t lane = 0; lane < lanes; ++lane) {
      const size_t cut = first + lane;
      const bool last = (cut + 1) * width == table.losses.size();
      const double loss = losses.relaxed[last ? 0 : side][lane];
      table.losses[cut * width + column] = std::max(loss - paid, 0.0);
    }
  }
}

}  // namespace trainyard::quant_bnb
