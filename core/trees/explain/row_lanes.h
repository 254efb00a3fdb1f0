// Features of a block of rows as the kernels read them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/ensemble.h"

namespace trainyard {

// Rows that walk the trees side by side, one in each lane.
inline constexpr int kShapLanes = 16;

// The features that an ensemble splits on, in ascending order.
std::vector<int32_t> UsedFeatures(const TreeEnsemble& ensemble);

// Writes rows [begin, begin + count) of the columns `used` as [column][lane], with count <=
// kShapLanes; codes become numbers, everything missing NaN. Lanes without a row repeat the first.
void GatherLanes(std::span<const FeatureColumn> features, std::span<const int32_t> used,
                 int64_t begin, int64_t count, double* block);

// The value of one row as FindLeaf sees it: a code as a number, NaN where missing.
double ValueAt(const FeatureColumn& column, int64_t row);

// Whether FindLeaf sends a row left at an inner node.
bool GoesLeft(const Tree& tree, int node, std::span<const FeatureColumn> features, int64_t row);

// The set of levels that go left at a categorical split, as a row of bits.
class LevelSets {
 public:
  // Adds a set of ascending codes; returns where it begins in words().
  int32_t Add(std::span<const int32_t> levels);
  // Whether a code >= 0 is in the set that begins at `set`.
  bool Contains(int32_t set, double code) const {
    const uint64_t* words = words_.data() + set;
    const uint64_t bit = static_cast<uint64_t>(code);
    return bit / 64 < words[0] && ((words[1 + bit / 64] >> (bit % 64)) & 1) != 0;
  }
  // At each set's beginning the number of its words, then the words.
  const std::vector<uint64_t>& words() const { return words_; }

 private:
  std::vector<uint64_t> words_;
};

}  // namespace trainyard
