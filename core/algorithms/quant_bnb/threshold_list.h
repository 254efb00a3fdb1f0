// The candidate thresholds of one feature at a node that may still be the best.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/algorithms/quant_bnb/known_cuts.h"
#include "core/algorithms/quant_bnb/search_node.h"

namespace trainyard::quant_bnb {

// Which of the rules bounds are made by; see QuantBnbSpec::PruningRule.
struct BoundRules {
  bool neighbourhood = true;
  bool interval = true;
};

// What the children cost, at the worst, for the rows between two thresholds: their weight, or the
// largest squared error that a target of the node can have in any leaf.
class RowCosts {
 public:
  void Assign(const SearchNode& node);
  // Of a row of the node.
  double operator[](size_t row) const { return costs_[row]; }
  // Whether every row costs 1.
  bool unit() const { return unit_; }

 private:
  std::vector<double> costs_;
  bool unit_ = false;
};

// A cut of the order whose children's losses, or lower bounds of them, are known.
struct Anchor {
  // Cost of all rows up to it.
  double cost = 0;
  double left = 0;
  double right = 0;
  // What its maker wants to find again by it; -1: nothing.
  int tag = -1;
};

// A threshold between two neighbouring anchors.
struct AnchoredThreshold {
  int threshold = 0;
  Anchor before;
  Anchor after;
  // Cost of the rows between it and either.
  double cost_before = 0;
  double cost_after = 0;
  // Lower bounds of the children's losses.
  double left = 0;
  double right = 0;
};

// A threshold that is to be evaluated.
struct Candidate {
  int feature = 0;  // number in the node's features()
  int place = 0;    // of the last row on the left in the feature's order
  AnchoredThreshold at;
  // Least loss that a tree with this threshold or another one of its interval can have.
  double bound = 0;
  // The most that the rows between it and another living threshold of its interval can cost.
  double reach = 0;
};

// Thresholds between neighbouring values of a feature, by their number from 0 upwards. Those
// evaluated are anchors; the others are alive until they are excluded by the pointwise bound: for a
// < t < b, neighbouring anchors,
//   loss(t) >= max(L(a), L(b) - C(t, b)) + max(R(b), R(a) - C(a, t)),
// L and R being the losses of the children and C the cost of the rows between. With all rows on one
// side the ends of the order are anchors too. As t moves from a to b the slope of this bound over
// C(a, t) goes from -1 by 0 to 1: what is alive between two anchors has no gap, and a bisection
// finds its ends. Memory: 4 bytes per threshold, none where all values differ; half a byte per row
// where rows cost other than 1.
class ThresholdList {
 public:
  explicit ThresholdList(const BoundRules& rules) : rules_(rules) {}

  // All thresholds of feature number `feature` of the node, all alive; node and costs outlive the
  // use of the list. `whole` is a lower bound of the loss of a child that has all rows, `known` are
  // cuts of the node by this feature; the tags are those of the ends as anchors.
  void Assign(const SearchNode& node, int feature, const RowCosts& costs, double whole,
              std::span<const KnownCut> known, int begin_tag, int end_tag);

  int count() const { return count_; }
  // Place of the last row on the left, in the feature's order.
  int place(int threshold) const {
    return places_.empty() ? threshold : places_[static_cast<size_t>(threshold)];
  }
  // Number of thresholds alive.
  int64_t alive() const { return alive_; }

  // Up to `most` of those alive, at quantiles, ascending; all where they fit.
  void Choose(int most, std::vector<AnchoredThreshold>& chosen) const;
  // The middle one of those alive in each interval between anchors, ascending; `feature` is left
  // open.
  std::vector<Candidate> Intervals(double penalty) const;
  // The threshold after a place of the order, which must be alive; likewise, without `bound` and
  // `reach`.
  Candidate CandidateAt(int place) const;
  // Makes anchors of living thresholds, ascending; an anchor's cost is filled in.
  struct Evaluated {
    int threshold;
    Anchor anchor;
  };
  void Add(std::span<const Evaluated> evaluated);
  // Appends the anchors that tell more than their neighbours do, as cuts of the node given to
  // Assign.
  void AppendCuts(const SearchNode& node, int feature, std::vector<KnownCut>& cuts) const;
  // Calls `use` with the tags of the anchors around living thresholds.
  template <typename Use>
  void ForEachTagInUse(Use use) const {
    for (size_t i = 0; i + 1 < intervals_.size(); ++i) {
      if (intervals_[i].first == intervals_[i].end) continue;
      use(intervals_[i].before.tag);
      use(intervals_[i + 1].before.tag);
    }
  }
  // Gives every anchor the tag that `tags` has at its own, which may be -1.
  void Retag(std::span<const int> tags);
  // Excludes every threshold with bound + `penalty` >= `limit`; returns a lower bound of the least
  // such sum among those excluded now (infinite: none).
  double Exclude(double limit, double penalty);
  // A lower bound of bound + `penalty` over those alive; infinite where none is.
  double LeastBound(double penalty) const;

 private:
  // The thresholds between an anchor and the next that are alive: [first, end).
  struct Interval {
    Anchor before;
    // Thresholds that lie before the anchor, itself included where it is one.
    int passed;
    int first;
    int end;
  };
  void FindPlaces();
  void AddUpCosts();
  // Cost of all rows up to a threshold.
  double CostBefore(int threshold) const { return CostOfFirst(place(threshold) + 1); }
  double CostOfFirst(int rows) const;
  void InsertKnown(const SearchNode& node, int feature, std::span<const KnownCut> known);
  void Tighten();
  AnchoredThreshold At(size_t interval, int threshold) const;
  double Bound(size_t interval, int threshold) const;
  double LeastBound(size_t interval) const;
  // First threshold in [begin, end) for which `holds`, which is false up to some and true from
  // there.
  template <typename Holds>
  static int Bisect(int begin, int end, Holds holds);

  BoundRules rules_;
  std::span<const uint32_t> order_;
  const RowCosts* costs_ = nullptr;
  int count_ = 0;
  std::vector<int> places_;          // by threshold; empty where all values differ: its own number
  std::vector<double> cost_blocks_;  // of the rows before each block of the order
  int64_t alive_ = 0;
  // Ascending; the last one, whose anchor is the end of the order, is empty.
  std::vector<Interval> intervals_;
  std::vector<Interval> merged_;
};

}  // namespace trainyard::quant_bnb
