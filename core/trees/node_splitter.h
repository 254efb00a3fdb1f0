// Finds and carries out the splits of a growing tree.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/trees/growing_node.h"
#include "core/trees/node_rows.h"
#include "core/trees/presort.h"
#include "core/trees/split_search.h"
#include "core/trees/stop_token.h"

namespace trainyard {

// Features that still vary in a node; shared with its descendants until more become constant.
using ActiveFeatures = std::shared_ptr<const std::vector<int32_t>>;

// How a loop over features is spread: over the threads of a pool, or within the calling thread.
struct Workspace {
  ThreadPool* pool = nullptr;  // null: this thread alone
  int thread = 0;              // number of the calling thread where there is no pool
};

// Rows and feature orders of one tree while it grows. Nodes with disjoint ranges may be worked on
// by different threads at once.
class NodeSplitter {
 public:
  NodeSplitter(const PresortedFeatures& features, const TreeTarget& target,
               std::span<const double> weights, std::span<const uint32_t> rows,
               const v1::CartOptions& options, ThreadPool& pool, StopToken& stop);

  // All features that vary, and the root.
  ActiveFeatures root_features() const { return root_features_; }
  GrowingNode MakeRoot() { return rules_.MakeRoot(rows_); }

  // The best split of a splittable node that satisfies the options; `active` loses the features
  // that are constant here.
  Split FindSplit(const GrowingNode& node, ActiveFeatures& active,
                  const Workspace& workspace) const;

  // Carries `split` out: records it in `node`, rearranges the node's rows, and makes the children.
  void Apply(const Split& split, const ActiveFeatures& active, const Workspace& workspace,
             GrowingNode& node, GrowingNode& left, GrowingNode& right);

  const NodeRows& rows() const { return rows_; }

 private:
  void FillOrders(const PresortedFeatures& features, std::span<const uint32_t> rows,
                  ThreadPool& pool);
  FeatureSegment SegmentOf(int32_t feature, RowRange range) const;
  uint32_t PlacePositions(const Split& split, RowRange range);
  void PartitionOrder(int32_t feature, RowRange range, uint32_t middle, int thread);

  const PresortedFeatures& features_;
  const v1::CartOptions& options_;
  GrowthRules rules_;
  StopToken& stop_;
  NodeRows rows_;
  std::unique_ptr<SplitSearcher> searcher_;
  ActiveFeatures root_features_;
  std::vector<std::vector<OrderEntry>> orders_;   // by feature, in node order
  std::vector<uint32_t> new_position_;            // of each position, while a node is split
  std::vector<std::vector<OrderEntry>> scratch_;  // by thread
};

}  // namespace trainyard
