// All thresholds of a node that may still be the root of its best tree.
#pragma once

#include <cstdint>
#include <vector>

#include "core/algorithms/quant_bnb/search_node.h"
#include "core/algorithms/quant_bnb/threshold_list.h"

namespace trainyard::quant_bnb {

// The lists of all features of a node.
class ThresholdFrontier {
 public:
  explicit ThresholdFrontier(const BoundRules& rules) : rules_(rules) {}

  // All thresholds of the node, which must outlive its use.
  void Assign(const SearchNode& node);
  // Excludes what cannot stay below `limit`. Returns the least bound among what is excluded.
  double Exclude(double limit);
  // Up to `most` candidates, the most promising first: the middle ones of the intervals between
  // anchors, by bound, feature and place.
  std::vector<Candidate> Choose(int most) const;
  // Makes an anchor of a candidate by (lower bounds of) its children's losses.
  void Add(const Candidate& candidate, double left, double right);

  int64_t alive() const;
  int64_t count() const;
  // Least bound of those alive, infinite where there is none.
  double LeastBound() const;
  const ThresholdList& list(int feature) const { return lists_[static_cast<size_t>(feature)]; }
  ThresholdList& list(int feature) { return lists_[static_cast<size_t>(feature)]; }

 private:
  const BoundRules rules_;
  double penalty_ = 0;
  RowCosts costs_;
  size_t features_ = 0;
  std::vector<ThresholdList> lists_;
};

}  // namespace trainyard::quant_bnb
