// The rows of a growing tree, kept so that every node's rows are adjacent.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/trees/boosting/binned_features.h"
#include "core/trees/boosting/histogram.h"
#include "core/trees/boosting/histogram_split.h"

namespace trainyard {

// A list of rows in node order. Within a node the order of the list that it began as is kept.
class RowPartition {
 public:
  RowPartition(const BinnedFeatures& features, ThreadPool& pool)
      : features_(features), pool_(pool) {}

  // Starts over with these rows, all in one node.
  void Reset(std::span<const uint32_t> rows);

  size_t size() const { return size_; }
  // Rows at positions [begin, end); kRowsReadAhead more may be read.
  std::span<const uint32_t> rows(size_t begin, size_t end) const {
    return {rows_.data() + begin, end - begin};
  }
  // Whether the rows are 0, 1, 2, … in this order (before the first split).
  bool contiguous() const { return contiguous_; }

  // Moves the rows at [begin, end) whose code of `feature` is in `left_codes` before the others;
  // returns the position of the first of the others.
  size_t Split(size_t begin, size_t end, int32_t feature, const CodeSet& left_codes);

 private:
  struct Part {
    size_t begin;
    size_t end;
    size_t left = 0;  // number of its rows that go left
  };
  void SplitPart(const uint64_t* codes, int shift, const uint8_t* goes_left, Part& part);

  const BinnedFeatures& features_;
  ThreadPool& pool_;
  std::vector<uint32_t> rows_;
  std::vector<uint32_t> left_;   // while a node is split: rows of each part that go left,
  std::vector<uint32_t> right_;  // and right, from the part's position on
  size_t size_ = 0;
  bool contiguous_ = false;
};

}  // namespace trainyard
