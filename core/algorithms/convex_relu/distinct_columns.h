// A set of columns of bits: activation patterns that differ.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/types/span.h"
#include "core/algorithms/convex_relu/bit_matrix.h"

namespace trainyard::convex_relu {

// Different columns, in the order in which they came; bits of rows that do not exist are 0.
class DistinctColumns {
 public:
  explicit DistinctColumns(int64_t rows)
      : words_(BitBlocks(rows)), indices_(0, Hash{this}, Equal{this}) {}
  DistinctColumns(const DistinctColumns&) = delete;
  DistinctColumns& operator=(const DistinctColumns&) = delete;

  // False where the column, of BitBlocks(rows) words, is there already or has no bit set.
  bool Insert(const uint64_t* column) {
    if (std::all_of(column, column + words_, [](uint64_t word) { return word == 0; })) return false;
    bits_.insert(bits_.end(), column, column + words_);
    if (indices_.insert(static_cast<int64_t>(indices_.size())).second) return true;
    bits_.resize(bits_.size() - static_cast<size_t>(words_));
    return false;
  }

  // The place of a column among those inserted; -1 where it is not there.
  int64_t IndexOf(const uint64_t* column) {
    bits_.insert(bits_.end(), column, column + words_);
    const auto found = indices_.find(count());
    bits_.resize(bits_.size() - static_cast<size_t>(words_));
    return found == indices_.end() ? -1 : *found;
  }

  int64_t count() const { return static_cast<int64_t>(indices_.size()); }
  // All columns, one after the other.
  std::span<const uint64_t> bits() const { return bits_; }

 private:
  absl::Span<const uint64_t> Column(int64_t index) const {
    return {bits_.data() + index * words_, static_cast<size_t>(words_)};
  }

  struct Hash {
    const DistinctColumns* columns;
    size_t operator()(int64_t index) const { return absl::HashOf(columns->Column(index)); }
  };
  struct Equal {
    const DistinctColumns* columns;
    bool operator()(int64_t a, int64_t b) const { return columns->Column(a) == columns->Column(b); }
  };

  int64_t words_;
  std::vector<uint64_t> bits_;
  absl::flat_hash_set<int64_t, Hash, Equal> indices_;
};

}  // namespace trainyard::convex_relu
