// Best-first growth, for any splitter.
#pragma once

#include <cstdint>
#include <queue>
#include <utility>
#include <vector>

#include "core/trees/growing_node.h"

namespace trainyard {

// Splits the node of greatest decrease until there are `max_leaves`, or no split is left.
// `nodes[0]` is the root. `State` is what a splitter keeps for a node and hands on to its children;
// it calls
//   Split find(const GrowingNode& node, State& state)   none found: the node stays a leaf
//   void apply(int32_t index, const Split& split, const State& state)   appends two children
//   bool stopped()   asked before each node; true ends the growth
template <typename State, typename Find, typename Apply, typename Stopped>
void GrowBestFirst(int32_t max_leaves, State root_state, const Find& find, const Apply& apply,
                   const Stopped& stopped, std::vector<GrowingNode>& nodes) {
  struct Candidate {
    double decrease;
    int32_t index;
    State state;
    Split split;
    bool operator<(const Candidate& other) const {
      return decrease != other.decrease ? decrease < other.decrease : index > other.index;
    }
  };
  std::priority_queue<Candidate> frontier;
  const auto push = [&](int32_t index, State state) {
    const GrowingNode& node = nodes[static_cast<size_t>(index)];
    // Once stopped the rows may be half rearranged and must not be searched.
    if (!node.splittable || stopped()) return;
    Split split = find(node, state);
    if (split.found()) frontier.push({split.decrease, index, std::move(state), std::move(split)});
  };
  int32_t leaves = 1;
  push(0, std::move(root_state));
  while (!frontier.empty() && leaves < max_leaves && !stopped()) {
    const Candidate best = frontier.top();
    frontier.pop();
    apply(best.index, best.split, best.state);
    ++leaves;
    const int32_t left = nodes[static_cast<size_t>(best.index)].left;
    push(left, best.state);
    push(left + 1, best.state);
  }
}

}  // namespace trainyard
