// Optimal trees of two levels.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/algorithms/quant_bnb/search_node.h"
#include "core/algorithms/quant_bnb/stump_scanner.h"
#include "core/algorithms/quant_bnb/threshold_list.h"
#include "core/trees/stop_token.h"
#include "core/trees/thread_pool.h"

namespace trainyard::quant_bnb {

// Work done, added up.
struct WorkCounters {
  int64_t subproblems = 0;
  int64_t batches = 0;
  int64_t pruned = 0;
  int64_t screened_features = 0;

  WorkCounters& operator+=(const WorkCounters& other);
};

// What is known of the best tree of a node. Losses include the penalty.
struct SubtreeSolution {
  // Loss of the tree below; infinite where none with a loss below the budget was found.
  double loss = 0;
  // Root of that tree: number in the node's features() and place of the cut in its order; -1: a
  // leaf.
  int feature = -1;
  int place = 0;
  // No tree of the node has a smaller loss, whatever the size of its leaves. At least the budget
  // where `loss` is infinite.
  double bound = 0;
};

// What a search may do without.
struct SearchRules {
  BoundRules bounds;
  bool screening = true;
  bool budget = true;
  bool leaf_count = true;
};

// Finds the best tree of at most two levels of splits. Keeps memory from call to call.
class PairSolver {
 public:
  PairSolver(const SearchRules& rules, double tolerance, StopToken& stop)
      : rules_(rules), tolerance_(tolerance), stop_(stop) {}

  // Looks for trees with a loss below `budget`. Scans run on `pool` where it is not null. When the
  // token stops the search, the answer is void.
  SubtreeSolution Solve(const SearchNode& node, double budget, ThreadPool* pool);

  const WorkCounters& counters() const { return counters_; }

 private:
  struct Batch {
    std::vector<ThresholdGroup> groups;
    std::vector<int> thresholds[kMaxGroups];
    std::vector<int> places[kMaxGroups];
  };

  void Begin(const SearchNode& node, double budget);
  double Limit() const { return solution_limit_ - tolerance_; }
  bool NextBatch(const SearchNode& node);
  void AddGroup(const SearchNode& node, int feature, std::span<const int> thresholds);
  void ScanBatch(const SearchNode& node, ThreadPool* pool);
  void Absorb(const SearchNode& node, int g);

  const SearchRules rules_;
  const double tolerance_;
  StopToken& stop_;
  WorkCounters counters_;

  StumpScanner scanner_;
  RowCosts costs_;
  std::vector<ThresholdList> lists_;
  std::vector<bool> listed_;
  size_t cursor_ = 0;
  double solution_limit_ = 0;  // a better tree has a loss below this
  SubtreeSolution solution_;
  Batch batch_;
  std::vector<int> chosen_;
  std::vector<SideLosses> losses_;  // [feature][group]
  std::vector<AlignedBytes> scratch_;
  std::vector<ThresholdList::Anchor> anchors_;
};

}  // namespace trainyard::quant_bnb
