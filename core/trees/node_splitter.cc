#include "core/trees/node_splitter.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace trainyard {
namespace {

// Calls `work(i, thread)` for i in [0, count), spread as the workspace says.
template <typename Work>
void ForEach(const Workspace& workspace, size_t count, const Work& work) {
  if (workspace.pool == nullptr) {
    for (size_t i = 0; i < count; ++i) work(i, workspace.thread);
    return;
  }
  workspace.pool->Run(static_cast<int64_t>(count),
                      [&work](int64_t i, int thread) { work(static_cast<size_t>(i), thread); });
}

}  // namespace

NodeSplitter::NodeSplitter(const PresortedFeatures& features, const TreeTarget& target,
                           std::span<const double> weights, std::span<const uint32_t> rows,
                           const v1::CartOptions& options, ThreadPool& pool, StopToken& stop)
    : features_(features),
      options_(options),
      rules_(options),
      stop_(stop),
      rows_(target, weights, rows, options.criterion()),
      searcher_(MakeSplitSearcher(rows_)),
      scratch_(static_cast<size_t>(pool.threads())) {
  new_position_.resize(rows_.count());
  FillOrders(features, rows, pool);
}

void NodeSplitter::FillOrders(const PresortedFeatures& features, std::span<const uint32_t> rows,
                              ThreadPool& pool) {
  constexpr uint32_t kAbsent = std::numeric_limits<uint32_t>::max();
  std::vector<uint32_t> position(static_cast<size_t>(features.row_count()), kAbsent);
  for (uint32_t i = 0; i < rows_.count(); ++i) position[rows_.rows()[i]] = i;
  const bool all_rows = rows_.count() == static_cast<uint64_t>(features.row_count()) &&
                        std::is_sorted(rows.begin(), rows.end());
  orders_.resize(static_cast<size_t>(features.feature_count()));
  ForEach({&pool, 0}, orders_.size(), [&](size_t f, int) {
    if (stop_.Ask()) return;
    const std::span<const OrderEntry> order = features.order(static_cast<int>(f));
    if (order.empty() || order.front().rank == order.back().rank) return;
    if (all_rows) {
      orders_[f].assign(order.begin(), order.end());
      return;
    }
    orders_[f].resize(rows_.count());
    OrderEntry* out = orders_[f].data();
    for (const OrderEntry& entry : order) {
      if (position[entry.row] != kAbsent) *out++ = {position[entry.row], entry.rank};
    }
  });
  auto active = std::make_shared<std::vector<int32_t>>();
  for (size_t f = 0; f < orders_.size(); ++f) {
    if (!orders_[f].empty()) active->push_back(static_cast<int32_t>(f));
  }
  root_features_ = std::move(active);
}

FeatureSegment NodeSplitter::SegmentOf(int32_t feature, RowRange range) const {
  FeatureSegment segment;
  segment.feature = feature;
  segment.entries = std::span(orders_[static_cast<size_t>(feature)])
                        .subspan(range.begin, static_cast<size_t>(range.size()));
  segment.missing_rank = features_.missing_rank(feature);
  segment.categorical = features_.categorical(feature);
  return segment;
}

Split NodeSplitter::FindSplit(const GrowingNode& node, ActiveFeatures& active,
                              const Workspace& workspace) const {
  thread_local std::vector<double> totals;
  searcher_->Totals(node.range, totals);
  const double stored_impurity = node.impurity / rows_.impurity_scale();
  const double tolerance = kTieTolerance * node.weight * stored_impurity;
  thread_local std::vector<int32_t> varying;
  varying.clear();
  for (const int32_t feature : *active) {
    const FeatureSegment segment = SegmentOf(feature, node.range);
    if (segment.entries.front().rank != segment.entries.back().rank) varying.push_back(feature);
  }
  if (varying.size() != active->size()) {
    active = std::make_shared<const std::vector<int32_t>>(varying);
  }
  const std::vector<int32_t>& candidates = *active;
  std::vector<Split> splits(candidates.size());
  // Not by name inside the task: its thread has totals of its own.
  const std::span<const double> node_totals = totals;
  ForEach(workspace, candidates.size(), [&](size_t i, int) {
    if (workspace.pool != nullptr && stop_.Ask()) return;
    splits[i] = searcher_->Search(SegmentOf(candidates[i], node.range), node_totals,
                                  rules_.limits(), tolerance, stop_);
  });
  const int chosen = ChooseSplit(options_.criterion(), splits, node.weight, tolerance);
  if (chosen < 0) return {};
  Split& best = splits[static_cast<size_t>(chosen)];
  if (!rules_.Allows(best, tolerance, rows_)) return {};
  if (best.left_levels.empty()) best.threshold = ThresholdOf(best, features_.values(best.feature));
  return std::move(best);
}

// Gives every position of the node its new place, left rows first, in stable order; returns where
// the right rows begin.
uint32_t NodeSplitter::PlacePositions(const Split& split, RowRange range) {
  const FeatureSegment segment = SegmentOf(split.feature, range);
  for (const OrderEntry& entry : segment.entries) {
    bool goes_left = split.missing_left;
    if (entry.rank != segment.missing_rank) {
      goes_left = segment.categorical
                      ? std::binary_search(split.left_levels.begin(), split.left_levels.end(),
                                           static_cast<int32_t>(entry.rank))
                      : entry.rank <= split.last_left_rank;
    }
    new_position_[entry.row] = goes_left ? 1 : 0;
  }
  const auto first = new_position_.begin() + range.begin;
  const auto end = new_position_.begin() + range.end;
  const uint32_t middle = range.begin + std::accumulate(first, end, uint32_t{0});
  uint32_t left = range.begin;
  uint32_t right = middle;
  for (auto it = first; it != end; ++it) {
    const uint32_t goes_left = *it;
    *it = goes_left ? left : right;
    left += goes_left;
    right += 1 - goes_left;
  }
  return middle;
}

// Stable: both sides stay sorted by rank.
void NodeSplitter::PartitionOrder(int32_t feature, RowRange range, uint32_t middle, int thread) {
  std::vector<OrderEntry>& scratch = scratch_[static_cast<size_t>(thread)];
  scratch.resize(std::max(scratch.size(), static_cast<size_t>(range.size()) + 1));
  OrderEntry* entries = orders_[static_cast<size_t>(feature)].data();
  OrderEntry* left = entries + range.begin;
  OrderEntry* right = scratch.data();
  const uint32_t* new_position = new_position_.data();
  for (const OrderEntry* entry = left; entry != entries + range.end; ++entry) {
    const OrderEntry moved = {new_position[entry->row], entry->rank};
    const bool goes_left = moved.row < middle;
    *left = moved;  // never ahead of `entry`, so nothing unread is lost
    *right = moved;
    left += goes_left;
    right += !goes_left;
  }
  std::copy(scratch.data(), right, left);
}

void NodeSplitter::Apply(const Split& split, const ActiveFeatures& active,
                         const Workspace& workspace, GrowingNode& node, GrowingNode& left,
                         GrowingNode& right) {
  const uint32_t middle = PlacePositions(split, node.range);
  rows_.Permute(node.range, new_position_.data());
  rules_.MakeChildren(split, middle, rows_, node, left, right);
  if (!left.splittable && !right.splittable) return;
  ForEach(workspace, active->size(), [&](size_t i, int thread) {
    if (stop_.Ask()) return;
    PartitionOrder((*active)[i], node.range, middle, thread);
  });
}

}  // namespace trainyard
