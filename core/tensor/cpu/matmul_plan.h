// How one call of Matmul is laid out in memory and split into tasks.
#pragma once

#include <array>
#include <cstdint>

#include "core/tensor/cpu/serial_gemm.h"
#include "core/tensor/kernels/matmul_kernels.h"

namespace trainyard {

// A batch of products of equal shape, without tensors.
struct MatmulBatch {
  GemmShape shape;
  int64_t a_stride = 0;  // between rows as they lie in memory
  int64_t b_stride = 0;
  int64_t out_stride = 0;
  int64_t pre_stride = 0;

  // Dimensions of the batch from the outermost, those that lie in memory like one joined.
  struct Dimension {
    int64_t size = 1;
    int64_t a = 0;  // strides
    int64_t b = 0;
    int64_t out = 0;
    int64_t pre = 0;
  };
  std::array<Dimension, kMaxRank> dimensions;
  int rank = 0;
  int64_t count = 1;  // of products

  // Offsets of product `index`.
  struct Offsets {
    int64_t a = 0;
    int64_t b = 0;
    int64_t out = 0;
    int64_t pre = 0;
  };
  Offsets OffsetsOf(int64_t index) const;
};

MatmulBatch DescribeMatmul(const MatmulArguments& arguments);

// A grid over the products: each is cut into row_parts x column_parts, and the tasks take runs of
// products. By shapes and the number of threads alone.
struct MatmulSplit {
  int64_t row_parts = 1;
  int64_t column_parts = 1;
  int64_t batch_parts = 1;
  int64_t tasks() const { return row_parts * column_parts * batch_parts; }
};

MatmulSplit SplitMatmul(const MatmulBatch& batch, int threads);

// The part `index` of [0, size) cut into `parts`, at multiples of `unit` but for the end.
struct Range {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};
Range PartOf(int64_t size, int64_t parts, int64_t index, int64_t unit);

}  // namespace trainyard
