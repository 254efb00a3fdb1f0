// Lower bounds from the number of leaves alone, whatever the features.
#pragma once

#include <vector>

#include "core/algorithms/quant_bnb/search_node.h"

namespace trainyard::quant_bnb {

// Bounds of nodes one after another, with memory kept from call to call.
class LeafBounds {
 public:
  // What any division of the node's rows into `leaves` groups costs at least, without the penalty.
  // For classes without costs: the weight of all but the `leaves` largest classes. For one target:
  // the squared error of the best grouping of its values, which are intervals of them (O(leaves x
  // rows x log rows)). 0 for costs and for several targets.
  double Bound(const SearchNode& node, int leaves);

 private:
  double ClassBound(const SearchNode& node, int leaves);
  double TargetBound(const SearchNode& node, int leaves);
  double Cost(size_t begin, size_t end) const;
  void FillLayer(size_t first, size_t last, size_t least, size_t most);

  struct Value {
    double mean;
    double weight;
  };
  std::vector<double> class_weights_;
  std::vector<Value> values_;  // ascending
  // Of the first i values: weight, sum and sum of squares.
  std::vector<double> weights_;
  std::vector<double> sums_;
  std::vector<double> squares_;
  // Least cost of the first i values in one group less, and in as many as are looked at.
  std::vector<double> previous_;
  std::vector<double> current_;
};

}  // namespace trainyard::quant_bnb
