// The candidate thresholds of one feature at a node that may still be the best.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/algorithms/quant_bnb/search_node.h"

namespace trainyard::quant_bnb {

// Which of the rules apply; see QuantBnbSpec::PruningRule.
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

 private:
  std::vector<double> costs_;
};

// A threshold that is to be evaluated.
struct Candidate {
  int feature = 0;    // number in the node's features()
  int threshold = 0;  // number in the feature's list
  int place = 0;      // of the last row on the left in the feature's order
  // Least loss that a tree with this threshold or another one of its interval can have.
  double bound = 0;
  // Lower bounds of the children's losses.
  double left = 0;
  double right = 0;
  // The most that the rows between it and another living threshold of its interval can cost.
  double reach = 0;
};

// Thresholds between neighbouring values of a feature, by their number from 0 upwards. Those
// evaluated are anchors; the others are alive until they are excluded by the pointwise bound: for a
// < t < b, neighbouring anchors,
//   loss(t) >= max(L(a), L(b) - C(t, b)) + max(R(b), R(a) - C(a, t)),
// L and R being the losses of the children and C the cost of the rows between.
class ThresholdList {
 public:
  // All thresholds of feature number `feature` of the node, all alive.
  void Assign(const SearchNode& node, int feature, const RowCosts& costs);

  int count() const { return static_cast<int>(places_.size()); }
  // Place of the last row on the left, in the feature's order.
  int place(int threshold) const { return places_[static_cast<size_t>(threshold)]; }
  std::span<const int> alive() const { return alive_; }

  // Up to `most` of those alive, at quantiles, ascending; all where they fit.
  void Choose(int most, std::vector<int>& chosen) const;
  // Makes anchors of thresholds, ascending, whose children's losses (or lower bounds of them) are
  // known. They are alive no more.
  struct Anchor {
    int threshold;
    double left;
    double right;
  };
  void Add(std::span<const Anchor> anchors);
  // Excludes every threshold with bound + `penalty` >= `limit`; returns the least such sum among
  // those excluded now (infinite: none).
  double Exclude(double limit, double penalty, const BoundRules& rules);
  // Bound + `penalty` of those alive, the least; infinite where none is.
  double LeastBound(double penalty, const BoundRules& rules) const;
  // The middle one of those alive in each interval between anchors, ascending; `feature` is left
  // open.
  std::vector<Candidate> Intervals(double penalty, const BoundRules& rules) const;

 private:
  // Lower bounds of the children's losses.
  struct SideBounds {
    double left;
    double right;
  };
  template <typename Use>
  void ForEachBound(double penalty, const BoundRules& rules, Use use) const;
  SideBounds Bounds(const Anchor& before, const Anchor& after, int threshold,
                    const BoundRules& rules) const;

  std::vector<int> places_;
  std::vector<double> cost_before_;  // of all rows up to each threshold
  std::vector<int> alive_;
  std::vector<Anchor> anchors_;  // with one before all thresholds and one behind
};

}  // namespace trainyard::quant_bnb
