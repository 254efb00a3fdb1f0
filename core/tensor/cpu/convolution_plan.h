// Convolutions along one dimension as matrix products of tiles of rows.
#pragma once

#include <cstdint>

#include "core/tensor/kernels/convolution_kernels.h"

namespace trainyard {

// Sizes and strides of one convolution, without tensors.
struct ConvolutionSizes {
  explicit ConvolutionSizes(const Convolution1dArguments& arguments);

  int64_t batch;
  int64_t length;
  int64_t in;   // channels
  int64_t out;  // channels
  int64_t width;
  int64_t pad;

  // Rows of a tile: enough for a matrix product to run at its full rate, few enough for the tile
  // to stay in a core's cache.
  int64_t tile_rows;
  int64_t tiles_per_sequence;
  int64_t tiles() const { return batch * tiles_per_sequence; }

  // With few channels a product per tap would be too narrow: the tile's windows are copied out, so
  // that one product takes all taps.
  bool gathers() const { return in < kFewChannels; }

  static constexpr int64_t kFewChannels = 64;
};

// Rows [begin, end) of sequence `sequence`.
struct ConvolutionTile {
  int64_t sequence;
  int64_t begin;
  int64_t end;
  int64_t rows() const { return end - begin; }
};

ConvolutionTile TileOf(const ConvolutionSizes& sizes, int64_t index);

// The rows t of the tile whose row t + shift lies inside the sequence too.
ConvolutionTile RowsWithShift(const ConvolutionSizes& sizes, const ConvolutionTile& tile,
                              int64_t shift);

// Copies the windows of a tile's rows, width * in values each, from the sequence `x`, with zeros
// outside of it.
template <typename T>
void GatherWindows(const ConvolutionSizes& sizes, const ConvolutionTile& tile, const T* x,
                   T* windows);

}  // namespace trainyard
