// What a query may see, for tiles of scores.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "core/tensor/kernels/attention_kernels.h"
#include "core/tensor/tensor.h"

namespace trainyard::cpu_attention {

// A tensor [batch, heads, rows, width] whose last stride is 1.
template <typename T>
class HeadRows {
 public:
  explicit HeadRows(const Tensor& tensor)
      : data_(tensor.data<T>()),
        batch_stride_(tensor.stride(0)),
        head_stride_(tensor.stride(1)),
        row_stride_(tensor.stride(2)) {}

  T* Row(int64_t batch, int64_t head, int64_t row) const {
    return data_ + batch * batch_stride_ + head * head_stride_ + row * row_stride_;
  }
  int64_t stride() const { return row_stride_; }

 private:
  T* data_;
  int64_t batch_stride_;
  int64_t head_stride_;
  int64_t row_stride_;
};

// Rows and keys of a tile of scores of one sequence.
struct ScoreTile {
  int64_t batch = 0;
  int64_t row = 0;
  int64_t rows = 0;
  int64_t key = 0;
  int64_t keys = 0;
};

enum class Visibility : uint8_t { kNothing, kSome, kAll };

// The masks of AttentionArguments.
class AttentionMask {
 public:
  explicit AttentionMask(const AttentionArguments& arguments);

  // Query `row` sees none of the keys from here on.
  int64_t KeysBefore(int64_t row) const {
    return causal_ ? std::clamp<int64_t>(row + keys_ - rows_ + 1, 0, keys_) : keys_;
  }
  // The first query that sees `key`, as far as causality goes.
  int64_t FirstRowOf(int64_t key) const {
    return causal_ ? std::clamp<int64_t>(key - keys_ + rows_, 0, rows_) : 0;
  }
  // What segments and the key mask (not causality) let through.
  Visibility Of(const ScoreTile& tile) const;
  // Scores that these two do not let through become minus infinity.
  template <typename T>
  void Hide(const ScoreTile& tile, T* scores, int64_t stride) const;

 private:
  const int32_t* QuerySegments(const ScoreTile& tile) const;
  const int32_t* KeySegments(const ScoreTile& tile) const;
  const uint8_t* KeyMask(const ScoreTile& tile) const;

  int64_t rows_;
  int64_t keys_;
  bool causal_;
  Tensor query_segments_;  // contiguous, or undefined, as the next two
  Tensor key_segments_;
  Tensor key_mask_;
};

template <typename T>
void AttentionMask::Hide(const ScoreTile& tile, T* scores, int64_t stride) const {
  constexpr T kHidden = -std::numeric_limits<T>::infinity();
  const int32_t* query_segments = QuerySegments(tile);
  const int32_t* key_segments = KeySegments(tile);
  const uint8_t* key_mask = KeyMask(tile);
  for (int64_t i = 0; i < tile.rows; ++i) {
    T* row = scores + i * stride;
    if (query_segments != nullptr) {
      const int32_t segment = query_segments[i];
      for (int64_t j = 0; j < tile.keys; ++j)
        row[j] = key_segments[j] == segment ? row[j] : kHidden;
    }
    if (key_mask != nullptr) {
      for (int64_t j = 0; j < tile.keys; ++j) row[j] = key_mask[j] != 0 ? row[j] : kHidden;
    }
  }
}

}  // namespace trainyard::cpu_attention
