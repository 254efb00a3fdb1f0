#include "core/tensor/cpu/convolution_plan.h"

#include <algorithm>

namespace trainyard {
namespace {

int64_t TileRows(int64_t in, int64_t out, int64_t width) {
  constexpr int64_t kTileValues = 128 * 1024;
  constexpr int64_t kFewestRows = 96;
  const int64_t row = (in < ConvolutionSizes::kFewChannels ? in * width : in) + out;
  return std::max(kFewestRows, kTileValues / std::max<int64_t>(row, 1));
}

}  // namespace

ConvolutionSizes::ConvolutionSizes(const Convolution1dArguments& arguments)
    : batch(arguments.x.size(0)),
      length(arguments.x.size(1)),
      in(arguments.w.size(1)),
      out(arguments.w.size(2)),
      width(arguments.w.size(0)),
      pad(arguments.pad_left),
      tile_rows(std::min(TileRows(in, out, width), std::max<int64_t>(length, 1))),
      tiles_per_sequence((length + tile_rows - 1) / tile_rows) {}

ConvolutionTile TileOf(const ConvolutionSizes& sizes, int64_t index) {
  const int64_t begin = index % sizes.tiles_per_sequence * sizes.tile_rows;
  return {index / sizes.tiles_per_sequence, begin, std::min(begin + sizes.tile_rows, sizes.length)};
}

ConvolutionTile RowsWithShift(const ConvolutionSizes& sizes, const ConvolutionTile& tile,
                              int64_t shift) {
  const int64_t begin = std::max(tile.begin, -shift);
  return {tile.sequence, begin, std::max(begin, std::min(tile.end, sizes.length - shift))};
}

template <typename T>
void GatherWindows(const ConvolutionSizes& sizes, const ConvolutionTile& tile, const T* x,
                   T* windows) {
  for (int64_t row = tile.begin; row < tile.end; ++row) {
    const int64_t first = row - sizes.pad;
    const int64_t begin = std::clamp<int64_t>(first, 0, sizes.length);
    const int64_t end = std::clamp(first + sizes.width, begin, sizes.length);
    const int64_t before = std::min(sizes.width, begin - first);
    T* to = std::fill_n(windows, (begin == end ? sizes.width : before) * sizes.in, T(0));
    to = std::copy(x + begin * sizes.in, x + end * sizes.in, to);
    windows += sizes.width * sizes.in;
    std::fill(to, windows, T(0));
  }
}

template void GatherWindows(const ConvolutionSizes&, const ConvolutionTile&, const float*, float*);
template void GatherWindows(const ConvolutionSizes&, const ConvolutionTile&, const double*,
                            double*);

}  // namespace trainyard
