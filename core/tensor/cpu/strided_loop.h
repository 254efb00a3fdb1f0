// Loops over tensors of one shape with any strides.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/tensor/tensor.h"

namespace trainyard {

// The elements of up to kMaxOperands tensors of one shape in an order that suits the first of them:
// dimensions by its strides, the smallest innermost, those that lie in memory like one joined.
class StridedLoop {
 public:
  static constexpr int kMaxOperands = 5;

  // Undefined operands are left out of the count but keep their number.
  explicit StridedLoop(std::span<const Tensor* const> operands);

  int64_t elements() const { return elements_; }
  // Length of a row: the innermost dimension.
  int64_t row_length() const { return sizes_[rank_ - 1]; }
  // Distance of neighbours in a row, in elements.
  int64_t row_stride(int operand) const { return strides_[operand][rank_ - 1]; }
  // Whether element i of the loop is the operand's i-th in memory.
  bool is_linear(int operand) const { return linear_[operand]; }
  int rank() const { return rank_; }
  int64_t size(int dimension) const { return sizes_[dimension]; }
  int64_t stride(int operand, int dimension) const { return strides_[operand][dimension]; }

  // Calls visit(operand offsets of the first element, length) for the parts of rows that make up
  // elements [begin, end).
  template <typename Visit>
  void ForRows(int64_t begin, int64_t end, Visit visit) const {
    if (begin >= end) return;
    std::array<int64_t, kMaxRank> index{};
    int64_t rest = begin;
    for (int d = rank_ - 1; d >= 0; --d) {
      index[d] = rest % sizes_[d];
      rest /= sizes_[d];
    }
    std::array<int64_t, kMaxOperands> offsets{};
    for (int operand = 0; operand < operands_; ++operand) {
      for (int d = 0; d < rank_; ++d) offsets[operand] += index[d] * strides_[operand][d];
    }
    for (int64_t at = begin;;) {
      const int64_t length = std::min(end - at, row_length() - index[rank_ - 1]);
      visit(offsets, length);
      at += length;
      if (at >= end) return;
      NextRow(index, offsets);
    }
  }

 private:
  void NextRow(std::array<int64_t, kMaxRank>& index,
               std::array<int64_t, kMaxOperands>& offsets) const {
    for (int operand = 0; operand < operands_; ++operand) {
      offsets[operand] -= index[rank_ - 1] * strides_[operand][rank_ - 1];
    }
    index[rank_ - 1] = 0;
    for (int d = rank_ - 2; d >= 0; --d) {
      for (int operand = 0; operand < operands_; ++operand) {
        offsets[operand] += strides_[operand][d];
      }
      if (++index[d] < sizes_[d]) return;
      for (int operand = 0; operand < operands_; ++operand) {
        offsets[operand] -= index[d] * strides_[operand][d];
      }
      index[d] = 0;
    }
  }

  int operands_ = 0;
  int rank_ = 0;  // >= 1
  int64_t elements_ = 0;
  std::array<int64_t, kMaxRank> sizes_{};
  std::array<std::array<int64_t, kMaxRank>, kMaxOperands> strides_{};
  std::array<bool, kMaxOperands> linear_{};
};

}  // namespace trainyard
