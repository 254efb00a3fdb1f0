#include "core/trees/boosting/histogram_tree.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace trainyard {
namespace {

// Least number of histogram words that are worth waking other threads for.
constexpr size_t kWordsForThreads = size_t{1} << 15;

}  // namespace

HistogramTreeGrower::HistogramTreeGrower(const BinnedFeatures& features, const TreeLimits& limits,
                                         const SplitRules& rules,
                                         std::span<const int8_t> directions, ThreadPool& pool,
                                         StopToken& stop)
    : features_(features),
      limits_(limits),
      rules_(rules),
      directions_(directions),
      pool_(pool),
      stop_(stop),
      partition_(features, pool),
      builder_(features, pool, stop) {}

bool HistogramTreeGrower::MaySplit(const HistogramNode& node) const {
  return (limits_.max_depth == 0 || node.depth < limits_.max_depth) &&
         static_cast<int64_t>(node.row_count()) >= std::max<int64_t>(2, 2 * rules_.min_rows);
}

const std::vector<HistogramNode>& HistogramTreeGrower::Grow(const PackedGradients& gradients,
                                                            std::span<const uint32_t> rows,
                                                            std::span<const int32_t> chosen) {
  gradients_ = &gradients;
  layout_ = std::make_unique<HistogramLayout>(features_, chosen, gradients.format.words);
  if (layout_->size() > slot_size_) {
    slots_.clear();
    slot_size_ = layout_->size();
  }
  slot_limit_ = std::max<size_t>(
      3, limits_.histogram_bytes / (sizeof(int64_t) * std::max<size_t>(slot_size_, 1)));
  free_slots_.resize(slots_.size());
  std::iota(free_slots_.begin(), free_slots_.end(), 0);
  slot_of_.clear();
  nodes_.clear();
  candidates_ = {};
  evictable_ = {};
  partition_.Reset(rows);
  nodes_.push_back({.end = rows.size()});
  slot_of_.push_back(-1);
  if (limits_.max_leaves > 1 && MaySplit(nodes_[0]) && !chosen.empty()) EvaluateRoot();
  for (int64_t leaves = 1; leaves < limits_.max_leaves && !candidates_.empty();) {
    if (stop_.Ask()) break;
    const int32_t node = candidates_.top().node;
    candidates_.pop();
    SplitNode(node);
    if (++leaves < limits_.max_leaves) EvaluateChildren(node);
  }
  // What was found for nodes that were not split in the end is no split.
  for (HistogramNode& node : nodes_) {
    if (node.is_leaf()) node.split = {};
  }
  return nodes_;
}

void HistogramTreeGrower::SplitNode(int32_t node) {
  const HistogramNode parent = At(node);
  const size_t middle =
      partition_.Split(parent.begin, parent.end, parent.split.feature, parent.split.left_codes);
  HistogramNode left = {.depth = parent.depth + 1,
                        .begin = parent.begin,
                        .end = middle,
                        .sums = parent.split.left,
                        .bounds = parent.bounds};
  HistogramNode right = {.depth = parent.depth + 1,
                         .begin = middle,
                         .end = parent.end,
                         .sums = parent.split.right,
                         .bounds = parent.bounds};
  const int direction =
      directions_.empty() ? 0 : directions_[static_cast<size_t>(parent.split.feature)];
  if (direction != 0) {
    const auto step = [&](const HistogramNode& child) {
      return std::clamp(NewtonStep(child.sums, rules_.l2), parent.bounds.low, parent.bounds.high);
    };
    const double between = (step(left) + step(right)) / 2;
    (direction > 0 ? left : right).bounds.high = between;
    (direction > 0 ? right : left).bounds.low = between;
  }
  At(node).left = static_cast<int32_t>(nodes_.size());
  At(node).right = At(node).left + 1;
  nodes_.push_back(left);
  nodes_.push_back(right);
  slot_of_.resize(nodes_.size(), -1);
}

void HistogramTreeGrower::EvaluateRoot() {
  TakeSlot(0);
  FillHistogram(0);
  // Every row has one code of each feature, so any feature's sums add up to the node's.
  int64_t total[2] = {0, 0};
  const size_t words = static_cast<size_t>(layout_->words());
  for (size_t w = 0; w < layout_->width(0); ++w) total[w % words] += SlotOf(0)[w];
  nodes_[0].sums = gradients_->format.Unpack(total);
  const int32_t root = 0;
  FindSplits({&root, 1}, nullptr);
}

void HistogramTreeGrower::EvaluateChildren(int32_t parent) {
  const int32_t left = At(parent).left;
  const int32_t right = At(parent).right;
  const bool left_smaller = At(left).row_count() <= At(right).row_count();
  const int32_t smaller = left_smaller ? left : right;
  const int32_t larger = left_smaller ? right : left;
  if (!MaySplit(At(larger))) {
    ReleaseSlot(parent);
    return;
  }
  const bool have_parent = slot_of_[static_cast<size_t>(parent)] >= 0;
  if (have_parent) {
    // The parent's histogram becomes the larger child's.
    std::swap(slot_of_[static_cast<size_t>(larger)], slot_of_[static_cast<size_t>(parent)]);
  } else {
    TakeSlot(larger);
    FillHistogram(larger);
  }
  const bool both = MaySplit(At(smaller));
  if (both || have_parent) {
    TakeSlot(smaller);
    FillHistogram(smaller);
  }
  const int32_t nodes[] = {larger, smaller};
  FindSplits({nodes, both ? size_t{2} : size_t{1}}, have_parent ? SlotOf(smaller) : nullptr);
  if (!both) ReleaseSlot(smaller);
}

void HistogramTreeGrower::FillHistogram(int32_t node) {
  const HistogramNode& own = At(node);
  builder_.Fill(*layout_, *gradients_, partition_.rows(own.begin, own.end), partition_.contiguous(),
                {SlotOf(node), layout_->size()});
}

void HistogramTreeGrower::FindSplits(std::span<const int32_t> nodes, const int64_t* subtrahend) {
  if (stop_.stopped()) return;
  const std::span<const int32_t> chosen = layout_->chosen();
  found_.assign(nodes.size() * chosen.size(), {});
  const auto find = [&](int64_t index, int) {
    const size_t i = static_cast<size_t>(index);
    const size_t offset = layout_->offset(i);
    if (subtrahend != nullptr) {
      int64_t* difference = SlotOf(nodes[0]) + offset;
      for (size_t w = 0; w < layout_->width(i); ++w) difference[w] -= subtrahend[offset + w];
    }
    const int direction = directions_.empty() ? 0 : directions_[static_cast<size_t>(chosen[i])];
    for (size_t n = 0; n < nodes.size(); ++n) {
      const HistogramNode& node = At(nodes[n]);
      found_[n * chosen.size() + i] =
          FindHistogramSplit(features_, chosen[i], gradients_->format, SlotOf(nodes[n]) + offset,
                             node.sums, rules_, node.bounds, direction);
    }
  };
  if (layout_->size() >= kWordsForThreads) {
    pool_.Run(static_cast<int64_t>(chosen.size()), find);
  } else {
    for (size_t i = 0; i < chosen.size(); ++i) find(static_cast<int64_t>(i), 0);
  }
  for (size_t n = 0; n < nodes.size(); ++n) {
    HistogramSplit& best = At(nodes[n]).split;
    for (size_t i = 0; i < chosen.size(); ++i) {
      const HistogramSplit& split = found_[n * chosen.size() + i];
      if (split.found() && split.gain > best.gain) best = split;
    }
    if (best.found()) {
      candidates_.push({best.gain, nodes[n]});
      evictable_.push({-best.gain, nodes[n]});
    } else {
      ReleaseSlot(nodes[n]);
    }
  }
}

void HistogramTreeGrower::TakeSlot(int32_t node) {
  int32_t& slot = slot_of_[static_cast<size_t>(node)];
  if (free_slots_.empty() && slots_.size() < slot_limit_) {
    free_slots_.push_back(static_cast<int32_t>(slots_.size()));
    slots_.push_back(std::make_unique_for_overwrite<int64_t[]>(slot_size_));
  }
  while (free_slots_.empty()) {
    // From the node that is likely to be split last, if ever.
    const int32_t owner = evictable_.top().node;
    evictable_.pop();
    if (At(owner).is_leaf()) ReleaseSlot(owner);
  }
  slot = free_slots_.back();
  free_slots_.pop_back();
}

void HistogramTreeGrower::ReleaseSlot(int32_t node) {
  int32_t& slot = slot_of_[static_cast<size_t>(node)];
  if (slot >= 0) free_slots_.push_back(slot);
  slot = -1;
}

}  // namespace trainyard
