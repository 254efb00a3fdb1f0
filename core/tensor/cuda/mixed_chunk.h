// Launches of what surrounds the products of mixed chunk attention. T is float or double.
#pragma once

#include <cstdint>

namespace trainyard::cuda {

class Platform;

// Segments of the rows, int32 [batch, n], or null: all rows are real and of one segment.
struct SegmentRows {
  const int32_t* data = nullptr;
  int64_t batch_stride = 0;
  int64_t row_stride = 0;
};

// Scores of rows of a number of equally long chunks, with the first keys of their chunks:
// [batch, chunks, rows, keys], contiguous.
struct LocalArguments {
  int64_t batch = 0;
  int64_t chunks = 0;
  int64_t rows = 0;
  int64_t keys = 0;
  int64_t start = 0;       // of the first chunk, in its sequence
  int64_t chunk_rows = 0;  // from the start of a chunk to that of the next
  int64_t first_row = 0;   // in each chunk
  bool causal = false;
  double scale_a = 1;
  const void* bias = nullptr;  // of the first row; rows at bias_stride; or null
  int64_t bias_stride = 0;
  SegmentRows segments;
  void* scores = nullptr;
};
// Scores (scale_qk Qq Kq') become weights relu(score + b)^2 * scale_a, 0 where they are masked.
template <typename T>
void LaunchLocalWeights(Platform& platform, const LocalArguments& arguments);
// Scores become weights; `gradients`, of their shape, of weights become those of scores.
template <typename T>
void LaunchLocalBackward(Platform& platform, const LocalArguments& arguments, void* gradients);

// Which chunks see which, and how the states of the chunks are weighed.
struct ChunkArguments {
  int64_t batch = 0;
  int64_t rows = 0;  // of a sequence
  int64_t chunk = 0;
  int64_t chunks = 0;  // the last one may be shorter
  bool causal = false;
  // Sums over chunks are divided by this, or, where it is 0, by the rows they are over.
  int64_t divisor = 0;
  SegmentRows segments;
  // [batch, chunks, 3]: lowest and highest segment of a chunk's real rows, and their number.
  int32_t* ranges = nullptr;
  // [batch, chunks]: what the sum of the states a chunk sees is multiplied by.
  double* weights = nullptr;
};
void LaunchChunkPlan(Platform& platform, const ChunkArguments& arguments);

// out[b, g] = weight[b, g] * (sum over the chunks h that g sees of in[b, h]); each state has
// `elements` numbers. Backward: out[b, h] = sum over the chunks g that see h of
// weight[b, g] * in[b, g].
template <typename T>
void LaunchStateSums(Platform& platform, const ChunkArguments& arguments, int64_t elements,
                     bool backward, const void* in, void* out);

// Sets rows [batch, n, columns] to zero where their segment is -1.
struct PaddingArguments {
  int64_t batch = 0;
  int64_t rows = 0;
  int64_t columns = 0;
  SegmentRows segments;
  void* data = nullptr;
  int64_t batch_stride = 0;
  int64_t row_stride = 0;
};
template <typename T>
void LaunchClearPadding(Platform& platform, const PaddingArguments& arguments);

}  // namespace trainyard::cuda
