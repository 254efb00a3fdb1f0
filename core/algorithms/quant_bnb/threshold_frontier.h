// All thresholds of a node that may still be the root of its best tree.
#pragma once

#include <cstdint>
#include <vector>

#include "core/algorithms/quant_bnb/search_node.h"
#include "core/algorithms/quant_bnb/threshold_list.h"

namespace trainyard::quant_bnb {

// By search feature: no tree of a node whose root splits by it has a smaller loss, nor has one of
// one level less (which is what is left of such a tree where all rows go to one side). The last
// entry is for the latter alone. What holds for a node holds for any that has its rows and others,
// and, less the cost of the rows taken away, for any that has part of them.
using FeatureBounds = std::vector<double>;

// What the children of a threshold cost. Losses without the penalty of the split itself.
struct Evaluation {
  // Sum of the losses of the children's trees; infinite where the budget did not allow for any.
  double loss = 0;
  // Lower bounds of each child's loss, whatever the size of its leaves.
  double left = 0;
  double right = 0;
  // What was found about the features of each child; empty where it was not looked at.
  FeatureBounds features[2];
};

// The lists of all features of a node.
class ThresholdFrontier {
 public:
  explicit ThresholdFrontier(const BoundRules& rules) : rules_(rules) {}

  // All thresholds of the node, which must outlive its use. `whole` is the loss, or a lower bound
  // of it, of a child that has all rows, and `whole_features` what is known of its features, or
  // empty.
  void Assign(const SearchNode& node, double whole, const FeatureBounds& whole_features);
  // Excludes all thresholds of the features whose known bound is at least `limit`.
  void CloseFeatures(const FeatureBounds& known, double limit);
  // Excludes what cannot stay below `limit`.
  void Exclude(double limit);
  // Up to `most` candidates, the most promising first: the middle ones of the intervals between
  // anchors, by bound, feature and place.
  std::vector<Candidate> Choose(int most) const;
  // Makes an anchor of a candidate by (lower bounds of) its children's losses.
  void Add(const Candidate& candidate, const Evaluation& evaluation);
  // What is known of the features of a candidate's child on a side.
  void KnownFeatures(const Candidate& candidate, int side, FeatureBounds& known) const;

  // Least bound of all thresholds, excluded or evaluated; none may be alive. `whole` is that given
  // to Assign. Writes the bounds of the features where `found` is not null.
  double Summarise(double whole, FeatureBounds* found) const;

  int64_t alive() const;
  int64_t count() const;
  // Least bound of those alive, infinite where there is none.
  double LeastBound() const;
  const ThresholdList& list(int feature) const { return lists_[static_cast<size_t>(feature)]; }
  ThresholdList& list(int feature) { return lists_[static_cast<size_t>(feature)]; }

 private:
  const BoundRules rules_;
  const SearchNode* node_ = nullptr;
  double penalty_ = 0;
  RowCosts costs_;
  size_t features_ = 0;
  std::vector<ThresholdList> lists_;
  std::vector<double> bounds_;  // by feature: least of what was excluded or evaluated
  // By tag: of both children of an anchor.
  struct Children {
    FeatureBounds features[2];
  };
  std::vector<Children> children_;
};

}  // namespace trainyard::quant_bnb
