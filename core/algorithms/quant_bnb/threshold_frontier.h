// All thresholds of a node that may still be the root of its best tree.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/algorithms/quant_bnb/search_node.h"
#include "core/algorithms/quant_bnb/threshold_list.h"

namespace trainyard::quant_bnb {

// What the children of a threshold cost. Losses without the penalty of the split itself.
struct Evaluation {
  // Sum of the losses of the children's trees; infinite where the budget did not allow for any.
  double loss = 0;
  // Lower bounds of each child's loss, whatever the size of its leaves.
  double left = 0;
  double right = 0;
  // What was found about each child; empty where it was not looked at.
  KnownCuts cuts[2];
};

// The lists of all features of a node.
class ThresholdFrontier {
 public:
  explicit ThresholdFrontier(const BoundRules& rules) : rules_(rules) {}

  // All thresholds of the node, which must outlive its use. `whole` is a lower bound of the loss of
  // a child that has all rows, `known` are cuts of the node.
  void Assign(const SearchNode& node, double whole, const KnownCuts& known);
  // Excludes what cannot stay below `limit`.
  void Exclude(double limit);
  // Up to `most` candidates, the most promising first: the middle ones of the intervals between
  // anchors, by bound, feature and place.
  std::vector<Candidate> Choose(int most) const;
  // Makes an anchor of a candidate.
  void Add(const Candidate& candidate, Evaluation evaluation);
  // What is known of a candidate's child on a side from those of the neighbouring anchors.
  void Known(const Candidate& candidate, int side, KnownCuts& known) const;
  // Forgets the children of anchors that no living threshold lies next to.
  void ForgetChildren();
  // All anchors in the order in which they were added; Add makes the same frontier of them again.
  struct Record {
    Candidate candidate;  // but for its bounds
    Evaluation evaluation;
  };
  std::span<const Record> records() const { return records_; }
  // The candidate of a place of a feature's order; it must be a living threshold.
  Candidate At(int feature, int place) const;
  // Least bound of all thresholds, excluded or evaluated; none may be alive. Writes what is known
  // of the node where `found` is not null.
  double Summarise(KnownCuts* found) const;

  int64_t alive() const;
  int64_t count() const;
  // Least bound of those alive, infinite where there is none.
  double LeastBound() const;

 private:
  void AddCutsOfMore(const Candidate& candidate, int side, const Record& outside,
                     KnownCuts& known) const;

  const BoundRules rules_;
  const SearchNode* node_ = nullptr;
  double penalty_ = 0;
  double whole_ = 0;
  RowCosts costs_;
  size_t features_ = 0;
  std::vector<ThresholdList> lists_;
  std::vector<double> bounds_;   // by feature: least of what was excluded or evaluated
  std::vector<Record> records_;  // by tag - 1
};

}  // namespace trainyard::quant_bnb
