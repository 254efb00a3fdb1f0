// Optimal trees of two levels.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/algorithms/quant_bnb/search_node.h"
#include "core/algorithms/quant_bnb/stump_scanner.h"
#include "core/algorithms/quant_bnb/threshold_frontier.h"
#include "core/algorithms/quant_bnb/threshold_list.h"
#include "core/base/thread_pool.h"
#include "core/trees/stop_token.h"

namespace trainyard::quant_bnb {

// Work done, added up.
struct WorkCounters {
  int64_t subproblems = 0;
  int64_t thresholds = 0;  // evaluated
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
  // No tree of the node has a smaller loss, whatever the size of its leaves. At least the budget,
  // less the tolerance, where `loss` is infinite.
  double bound = 0;
  // Trees of two levels: the feature, a number in the node's features(), of the best stump on the
  // left and on the right; -1: not known.
  int children[2] = {-1, -1};
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
  // Of what screening needs, `few_numbers` are kept whether they are of use or not, and at most 16
  // times as many that are; the default is 2 to 32 MiB.
  PairSolver(const SearchRules& rules, double tolerance, StopToken& stop,
             size_t few_numbers = size_t{1} << 18)
      : rules_(rules), tolerance_(tolerance), stop_(stop), few_profiles_(few_numbers) {}

  // Looks for trees with a loss below `budget`. `known` are bounds for this node, or empty. Scans
  // run on `pool` where it is not null. When the token stops the search, the answer is void.
  SubtreeSolution Solve(const SearchNode& node, double budget, const KnownCuts& known,
                        ThreadPool* pool);
  // Solve in steps, for a caller that wants to hear of its course: Begin, then Step until it is
  // false. `node` and `known` outlive the steps.
  void Begin(const SearchNode& node, double budget, const KnownCuts& known);
  bool Step(ThreadPool* pool);
  // The best tree so far; `bound` counts at the end.
  const SubtreeSolution& solution() const { return solution_; }
  // Thresholds that may still be the root of a better tree, and the least loss that they can have.
  int64_t alive() const;
  double LeastBound() const;

  // What the last call of Solve found or knew about its node, which must still be there.
  void Summarise(KnownCuts& found) const;

  const WorkCounters& counters() const { return counters_; }

 private:
  // Tags of the ends of orders.
  static constexpr int kBeginTag = 0;
  static constexpr int kEndTag = 1;
  // One group of a batch.
  struct Group {
    int feature = 0;
    std::vector<AnchoredThreshold> thresholds;
    std::vector<int> places;
    bool with_whole = false;  // the last lane has all rows on the left
  };

  double Cutoff() const { return limit_ - tolerance_; }
  bool NextBatch();
  bool TakeNext(int most);
  void AddGroup(int feature, std::span<const AnchoredThreshold> thresholds);
  double ChildBound(const AnchoredThreshold& at, int side, size_t child) const;
  bool Needs(const Group& group, size_t child) const;
  void ScanBatch(ThreadPool* pool);
  void Absorb(size_t g);
  void AbsorbWhole(size_t g);
  size_t ProfileStart(int tag, int side) const {
    return (static_cast<size_t>(tag) * 2 + static_cast<size_t>(side)) * features_;
  }
  double* Profile(int tag, int side) { return &profiles_[ProfileStart(tag, side)]; }
  const double* Profile(int tag, int side) const { return &profiles_[ProfileStart(tag, side)]; }
  int AddProfile();
  void ForgetProfiles();

  const SearchRules rules_;
  const double tolerance_;
  StopToken& stop_;
  const size_t few_profiles_;
  WorkCounters counters_;

  const SearchNode* node_ = nullptr;
  const KnownCuts* known_ = nullptr;
  double penalty_ = 0;
  size_t features_ = 0;
  StumpScanner scanner_;
  RowCosts costs_;
  std::vector<ThresholdList> lists_;
  std::vector<uint8_t> open_;    // by feature: its list is not exhausted
  std::vector<uint8_t> listed_;  // by feature: its list is made
  std::vector<double> bounds_;   // by feature: least of what was excluded or evaluated
  size_t cursor_ = 0;
  double limit_ = 0;  // a better tree has a loss below this
  // Loss of the best stump of the node; -1 before it is known.
  double whole_ = -1;
  SubtreeSolution solution_;
  // What each child feature costs at each anchor: [tag][side][child feature].
  std::vector<double> profiles_;
  std::vector<double> profile_;  // of the threshold that is being absorbed: [side][child feature]
  int profile_count_ = 0;
  size_t enough_profiles_ = 0;  // numbers beyond which those of no more use are forgotten

  size_t group_count_ = 0;
  Group groups_[kMaxGroups];
  std::vector<AnchoredThreshold> chosen_;
  std::vector<int> scanned_;           // child features of the batch
  std::vector<SideLosses> losses_;     // [number in scanned_][group]
  std::vector<AlignedBytes> scratch_;  // by thread
  std::vector<ThresholdList::Evaluated> evaluated_;
};

}  // namespace trainyard::quant_bnb
