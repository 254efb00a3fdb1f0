// One split: the best of a node by each feature.
#pragma once

#include <cstdint>
#include <vector>

#include "core/algorithms/quant_bnb/search_node.h"
#include "core/algorithms/quant_bnb/search_problem.h"
#include "core/algorithms/quant_bnb/stump_scanner.h"
#include "core/base/thread_pool.h"
#include "core/trees/stop_token.h"

namespace trainyard::quant_bnb {

// The best tree of at most one split.
struct Stump {
  // Loss, penalty included; infinite where no leaf is large enough.
  double loss = 0;
  int feature = -1;  // number in the node's features(); -1: a leaf
  // The cut comes after this place of the feature's order.
  int place = 0;
};

// The best split by one feature, or the leaf where no split beats it; the lowest place among
// equals. Leaves of less than `min_samples` given rows are not made. O(rows x outputs).
Stump BestStumpOf(const SearchNode& node, int feature, int64_t min_samples);

// Finds the best split over all features of nodes, one after another, with memory kept from call to
// call.
class StumpFinder {
 public:
  struct Answer {
    // The best with large enough leaves; of the lowest feature among equals.
    Stump stump;
    // Loss of the best whatever the size of its leaves.
    double relaxed = 0;
  };
  // Looks at the features on `pool` where it is not null. When the token, which may be null, stops
  // the search, the answer is void.
  Answer Find(const SearchNode& node, ThreadPool* pool = nullptr, StopToken* stop = nullptr);

 private:
  StumpScanner scanner_;
  std::vector<SideLosses> losses_;     // by feature
  std::vector<AlignedBytes> scratch_;  // by thread
};

// The tree of two levels whose root cuts the order of feature number `feature` after `place`, with
// the best stump by one feature on either side. O(rows x outputs).
SearchTree TreeOfPair(const SearchNode& node, int feature, int place, const int (&children)[2]);

// The tree that a stump is.
SearchTree TreeOf(const SearchNode& node, const Stump& stump);

}  // namespace trainyard::quant_bnb
