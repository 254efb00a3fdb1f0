#include <algorithm>
#include <vector>

#include "core/tensor/cpu/convolution_plan.h"
#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/serial_gemm.h"

namespace trainyard {
namespace {

// A tensor [batch, length, channels] whose channels lie side by side.
template <typename T>
struct Sequences {
  explicit Sequences(const Tensor& tensor)
      : data(tensor.data<T>()), sequence_stride(tensor.stride(0)), row_stride(tensor.stride(1)) {}
  T* Row(int64_t sequence, int64_t row) const {
    return data + sequence * sequence_stride + row * row_stride;
  }
  T* data;
  int64_t sequence_stride;
  int64_t row_stride;
};

// One run of tiles a thread, so that sums of a thread's own have an order that repeats itself.
struct TileRun {
  TileRun(const ConvolutionSizes& sizes, int64_t runs, int64_t index)
      : begin(sizes.tiles() * index / runs), end(sizes.tiles() * (index + 1) / runs) {}
  int64_t begin;
  int64_t end;
};

template <typename T>
class Convolution {
 public:
  Convolution(CpuDevice& device, const Convolution1dArguments& arguments)
      : device_(device),
        sizes_(arguments),
        runs_(std::min<int64_t>(device.threads().threads(), sizes_.tiles())),
        x_(arguments.x),
        w_(arguments.w.data<T>()) {}

  void Forward(const Convolution1dArguments& arguments) {
    const Sequences<T> y(arguments.y);
    const T* const bias = arguments.bias.defined() ? arguments.bias.data<T>() : nullptr;
    const Tensor scratch = WindowScratch();
    device_.threads().Run(sizes_.tiles(), [&](int64_t index, int thread) {
      const ConvolutionTile tile = TileOf(sizes_, index);
      StartWithBias(tile, bias, y);
      if (sizes_.gathers()) {
        const T* const windows = Gather(tile, scratch, thread);
        const int64_t taps = sizes_.width * sizes_.in;
        SerialGemm({tile.rows(), sizes_.out, taps}, T(1), windows, taps, w_, sizes_.out, T(1),
                   y.Row(tile.sequence, tile.begin), y.row_stride);
      } else {
        ForwardByTaps(tile, y);
      }
    });
  }

  // dx[s] (+)= sum over taps of dy[s - tap + pad] w[tap]'.
  void InputGradient(const Tensor& dy_tensor, const Tensor& dx_tensor, bool accumulate) {
    const Sequences<T> dy(dy_tensor);
    const Sequences<T> dx(dx_tensor);
    const Tensor scratch = WindowScratch(sizes_.width - 1);
    device_.threads().Run(sizes_.tiles(), [&](int64_t index, int thread) {
      const ConvolutionTile tile = TileOf(sizes_, index);
      for (int64_t row = tile.begin; !accumulate && row < tile.end; ++row) {
        std::fill_n(dx.Row(tile.sequence, row), sizes_.in, T(0));
      }
      if (sizes_.gathers()) {
        T* const windows = Windows(scratch, thread);
        AddInputGradientOfWindows(tile, dy, dx, windows);
      } else {
        AddInputGradientByTaps(tile, dy, dx);
      }
    });
  }

  // dw[tap] += x[t + tap - pad]' dy[t], summed over t; each run of tiles into a sum of its own.
  void WeightGradient(const Tensor& dy_tensor, const Tensor& dw) {
    const Sequences<T> dy(dy_tensor);
    const Tensor sums = Tensor::Empty(device_, {runs_, dw.elements()}, dw.dtype());
    const Tensor scratch = WindowScratch();
    device_.threads().Run(runs_, [&](int64_t run, int thread) {
      T* const sum = sums.data<T>() + run * dw.elements();
      std::fill_n(sum, dw.elements(), T(0));
      const TileRun tiles(sizes_, runs_, run);
      for (int64_t index = tiles.begin; index < tiles.end; ++index) {
        AddWeightGradient(TileOf(sizes_, index), dy, scratch, thread, sum);
      }
    });
    AddRuns(sums, dw);
  }

  void BiasGradient(const Tensor& dy_tensor, const Tensor& dbias) {
    const Sequences<T> dy(dy_tensor);
    const Tensor sums = Tensor::Empty(device_, {runs_, sizes_.out}, dbias.dtype());
    device_.threads().Run(runs_, [&](int64_t run, int) {
      T* const sum = sums.data<T>() + run * sizes_.out;
      std::fill_n(sum, sizes_.out, T(0));
      const TileRun tiles(sizes_, runs_, run);
      for (int64_t index = tiles.begin; index < tiles.end; ++index) {
        AddRows(TileOf(sizes_, index), dy, sum);
      }
    });
    AddRuns(sums, dbias);
  }

 private:
  // Space for the windows of a tile and of `more` rows, for every thread.
  Tensor WindowScratch(int64_t more = 0) const {
    if (!sizes_.gathers()) return Tensor();
    return Tensor::Empty(
        device_,
        {device_.threads().threads(), (sizes_.tile_rows + more) * sizes_.width * sizes_.in},
        DTypeOf<T>());
  }

  T* Windows(const Tensor& scratch, int thread) const {
    return scratch.data<T>() + thread * scratch.stride(0);
  }

  const T* Gather(const ConvolutionTile& tile, const Tensor& scratch, int thread) const {
    T* const windows = Windows(scratch, thread);
    GatherWindows(sizes_, tile, static_cast<const T*>(x_.Row(tile.sequence, 0)), windows);
    return windows;
  }

  void StartWithBias(const ConvolutionTile& tile, const T* bias, const Sequences<T>& y) const {
    for (int64_t row = tile.begin; row < tile.end; ++row) {
      T* const to = y.Row(tile.sequence, row);
      if (bias != nullptr) {
        std::copy_n(bias, sizes_.out, to);
      } else {
        std::fill_n(to, sizes_.out, T(0));
      }
    }
  }

  void ForwardByTaps(const ConvolutionTile& tile, const Sequences<T>& y) const {
    for (int64_t tap = 0; tap < sizes_.width; ++tap) {
      const int64_t shift = tap - sizes_.pad;
      const ConvolutionTile rows = RowsWithShift(sizes_, tile, shift);
      SerialGemm({rows.rows(), sizes_.out, sizes_.in}, T(1),
                 x_.Row(rows.sequence, rows.begin + shift), x_.row_stride,
                 w_ + tap * sizes_.in * sizes_.out, sizes_.out, T(1),
                 y.Row(rows.sequence, rows.begin), y.row_stride);
    }
  }

  void AddInputGradientByTaps(const ConvolutionTile& tile, const Sequences<T>& dy,
                              const Sequences<T>& dx) const {
    for (int64_t tap = 0; tap < sizes_.width; ++tap) {
      const int64_t shift = sizes_.pad - tap;
      const ConvolutionTile rows = RowsWithShift(sizes_, tile, shift);
      SerialGemm({rows.rows(), sizes_.in, sizes_.out, false, true}, T(1),
                 dy.Row(rows.sequence, rows.begin + shift), dy.row_stride,
                 w_ + tap * sizes_.in * sizes_.out, sizes_.out, T(1),
                 dx.Row(rows.sequence, rows.begin), dx.row_stride);
    }
  }

  // The gradients of all windows that reach into the tile by one product; then they are added up.
  void AddInputGradientOfWindows(const ConvolutionTile& tile, const Sequences<T>& dy,
                                 const Sequences<T>& dx, T* windows) const {
    const int64_t taps = sizes_.width * sizes_.in;
    const int64_t first =
        std::clamp<int64_t>(tile.begin + sizes_.pad - sizes_.width + 1, 0, sizes_.length);
    const int64_t end = std::clamp(tile.end + sizes_.pad, first, sizes_.length);
    SerialGemm({end - first, taps, sizes_.out, false, true}, T(1), dy.Row(tile.sequence, first),
               dy.row_stride, w_, sizes_.out, T(0), windows, taps);
    for (int64_t row = tile.begin; row < tile.end; ++row) {
      T* const to = dx.Row(tile.sequence, row);
      for (int64_t tap = 0; tap < sizes_.width; ++tap) {
        const int64_t window = row + sizes_.pad - tap;
        if (window < first || window >= end) continue;
        const T* const from = windows + (window - first) * taps + tap * sizes_.in;
        for (int64_t i = 0; i < sizes_.in; ++i) to[i] += from[i];
      }
    }
  }

  void AddWeightGradient(const ConvolutionTile& tile, const Sequences<T>& dy, const Tensor& scratch,
                         int thread, T* sum) const {
    if (sizes_.gathers()) {
      const T* const windows = Gather(tile, scratch, thread);
      const int64_t taps = sizes_.width * sizes_.in;
      SerialGemm({taps, sizes_.out, tile.rows(), true, false}, T(1), windows, taps,
                 dy.Row(tile.sequence, tile.begin), dy.row_stride, T(1), sum, sizes_.out);
      return;
    }
    for (int64_t tap = 0; tap < sizes_.width; ++tap) {
      const int64_t shift = tap - sizes_.pad;
      const ConvolutionTile rows = RowsWithShift(sizes_, tile, shift);
      SerialGemm({sizes_.in, sizes_.out, rows.rows(), true, false}, T(1),
                 x_.Row(rows.sequence, rows.begin + shift), x_.row_stride,
                 dy.Row(rows.sequence, rows.begin), dy.row_stride, T(1),
                 sum + tap * sizes_.in * sizes_.out, sizes_.out);
    }
  }

  void AddRows(const ConvolutionTile& tile, const Sequences<T>& dy, T* sum) const {
    for (int64_t row = tile.begin; row < tile.end; ++row) {
      const T* const from = dy.Row(tile.sequence, row);
      for (int64_t i = 0; i < sizes_.out; ++i) sum[i] += from[i];
    }
  }

  // to += the rows of `sums`, one after the other.
  void AddRuns(const Tensor& sums, const Tensor& to) const {
    constexpr int64_t kChunk = 16 * 1024;
    const int64_t elements = to.elements();
    T* const target = to.data<T>();
    device_.threads().Run((elements + kChunk - 1) / kChunk, [&](int64_t chunk, int) {
      const int64_t end = std::min(elements, (chunk + 1) * kChunk);
      for (int64_t run = 0; run < sums.size(0); ++run) {
        const T* const from = sums.data<T>() + run * elements;
        for (int64_t i = chunk * kChunk; i < end; ++i) target[i] += from[i];
      }
    });
  }

  CpuDevice& device_;
  const ConvolutionSizes sizes_;
  const int64_t runs_;
  const Sequences<T> x_;
  const T* const w_;
};

class CpuConvolutionKernels : public ConvolutionKernels {
 public:
  explicit CpuConvolutionKernels(CpuDevice& device) : device_(device) {}

  void Convolve1d(const Convolution1dArguments& arguments) override {
    if (arguments.y.elements() == 0) return;
    DispatchFloating(arguments.y.dtype(), "convolve1d",
                     [&]<typename T>() { Convolution<T>(device_, arguments).Forward(arguments); });
  }

  void Convolve1dBackward(const Convolution1dArguments& forward, const Tensor& dy, const Tensor& dx,
                          bool accumulate_dx, const Tensor& dw, const Tensor& dbias) override {
    DispatchFloating(dy.dtype(), "convolve1d", [&]<typename T>() {
      Convolution<T> convolution(device_, forward);
      if (dx.defined() && dx.elements() > 0) convolution.InputGradient(dy, dx, accumulate_dx);
      if (dy.elements() == 0) return;
      if (dw.defined() && dw.elements() > 0) convolution.WeightGradient(dy, dw);
      if (dbias.defined()) convolution.BiasGradient(dy, dbias);
    });
  }

 private:
  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<ConvolutionKernels> MakeCpuConvolutionKernels(CpuDevice& device) {
  return std::make_unique<CpuConvolutionKernels>(device);
}

}  // namespace trainyard
