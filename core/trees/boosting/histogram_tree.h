// The structure of one boosted tree, grown from histograms best leaf first.
#pragma once

#include <cstdint>
#include <memory>
#include <queue>
#include <span>
#include <vector>

#include "core/trees/boosting/binned_features.h"
#include "core/trees/boosting/gradient_sums.h"
#include "core/trees/boosting/histogram.h"
#include "core/trees/boosting/histogram_split.h"
#include "core/trees/boosting/row_partition.h"

namespace trainyard {

// When a tree stops growing.
struct TreeLimits {
  int64_t max_leaves = 31;  // >= 1
  int32_t max_depth = 0;    // 0: no limit
  // Bytes of histograms kept at once. A node whose histogram was given up is counted again when it
  // is split: slower, but the same tree.
  size_t histogram_bytes = size_t{256} << 20;
};

// A node of the structure; parents precede children.
struct HistogramNode {
  HistogramSplit split;  // not found: a leaf
  int32_t left = -1;
  int32_t right = -1;
  int32_t depth = 0;
  // Positions of its rows in RowPartition.
  size_t begin = 0;
  size_t end = 0;
  GradientSums sums;
  ValueBounds bounds;

  bool is_leaf() const { return left < 0; }
  size_t row_count() const { return end - begin; }
};

// Grows one tree after another on the same features. Not thread-safe; uses the pool's threads.
class HistogramTreeGrower {
 public:
  // `directions` has -1, 0 or 1 per feature, or is empty for 0. All references are kept.
  HistogramTreeGrower(const BinnedFeatures& features, const TreeLimits& limits,
                      const SplitRules& rules, std::span<const int8_t> directions, ThreadPool& pool,
                      StopToken& stop);

  // Grows a tree on `rows` (at least one, each at most once) by splits on the `chosen` features
  // (ascending). The node of greatest gain is split first; among equal gains the older node, and
  // within a node the lowest feature. Meaningless once the stop token is set. The result stays
  // valid until the next call.
  const std::vector<HistogramNode>& Grow(const PackedGradients& gradients,
                                         std::span<const uint32_t> rows,
                                         std::span<const int32_t> chosen);

  // The last tree, and its rows in the order of its nodes.
  const std::vector<HistogramNode>& nodes() const { return nodes_; }
  const RowPartition& partition() const { return partition_; }

 private:
  struct Candidate {
    double gain;
    int32_t node;
    bool operator<(const Candidate& other) const {
      return gain != other.gain ? gain < other.gain : node > other.node;
    }
  };
  bool MaySplit(const HistogramNode& node) const;
  void SplitNode(int32_t node);
  void EvaluateRoot();
  void EvaluateChildren(int32_t parent);
  void FillHistogram(int32_t node);
  // Finds the best splits of `nodes` by their histograms, after subtracting `subtrahend`, where
  // given, from that of the first.
  void FindSplits(std::span<const int32_t> nodes, const int64_t* subtrahend);
  // Gives the node a histogram to fill.
  void TakeSlot(int32_t node);
  void ReleaseSlot(int32_t node);
  int64_t* SlotOf(int32_t node) const {
    return slots_[static_cast<size_t>(slot_of_[static_cast<size_t>(node)])].get();
  }
  HistogramNode& At(int32_t node) { return nodes_[static_cast<size_t>(node)]; }

  const BinnedFeatures& features_;
  const TreeLimits limits_;
  const SplitRules rules_;
  const std::span<const int8_t> directions_;
  ThreadPool& pool_;
  StopToken& stop_;
  RowPartition partition_;
  HistogramBuilder builder_;
  // Of the tree that grows:
  const PackedGradients* gradients_ = nullptr;
  std::unique_ptr<HistogramLayout> layout_;
  std::vector<HistogramNode> nodes_;
  std::priority_queue<Candidate> candidates_;
  std::priority_queue<Candidate> evictable_;       // the same nodes and more, by least gain
  std::vector<int32_t> slot_of_;                   // by node; -1: no histogram
  std::vector<std::unique_ptr<int64_t[]>> slots_;  // histograms
  std::vector<int32_t> free_slots_;
  size_t slot_size_ = 0;  // words
  size_t slot_limit_ = 0;
  std::vector<HistogramSplit> found_;  // [node][feature], while splits are searched
};

}  // namespace trainyard
