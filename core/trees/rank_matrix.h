// The rank of every row by every feature, for learners that look at few features of a node.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/presort.h"
#include "core/trees/thread_pool.h"

namespace trainyard {

// Ranks as in PresortedFeatures, by row. Immutable and thread-safe. Memory: 2 bytes per row and
// feature with less than 65536 ranks, else 4. `features` must outlive it.
class RankMatrix {
 public:
  RankMatrix(const PresortedFeatures& features, ThreadPool& pool);

  const PresortedFeatures& features() const { return *features_; }
  int feature_count() const { return features_->feature_count(); }
  int64_t row_count() const { return features_->row_count(); }
  // Whether all rows have the same rank, a missing value being a rank too.
  bool constant(int feature) const { return At(feature).constant; }
  uint32_t rank(int feature, uint32_t row) const {
    const Column& column = At(feature);
    return column.narrow.empty() ? column.wide[row] : column.narrow[row];
  }
  // Writes the ranks of `rows` by a feature to `ranks`.
  void Gather(int feature, std::span<const uint32_t> rows, uint32_t* ranks) const;

 private:
  struct Column {
    std::vector<uint16_t> narrow;  // one of the two is empty
    std::vector<uint32_t> wide;
    bool constant = false;
  };
  const Column& At(int feature) const { return columns_[static_cast<size_t>(feature)]; }

  const PresortedFeatures* features_;
  std::vector<Column> columns_;
};

}  // namespace trainyard
