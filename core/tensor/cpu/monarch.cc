#include <algorithm>
#include <vector>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/monarch_double.h"
#include "core/tensor/cpu/monarch_products.h"
#include "core/tensor/kernels/structured_kernels.h"

namespace trainyard {
namespace {

const float* DataOrNull(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<float>() : nullptr;
}

// Runs stages of products on a device's threads.
class LaneRunner {
 public:
  explicit LaneRunner(CpuDevice& device)
      : device_(device),
        scratch_(Tensor::Empty(device, {device.threads().threads(), kLaneScratch})) {}

  // Part by part, all rows of each.
  void Run(const LaneParts& parts) {
    device_.threads().Run(static_cast<int64_t>(parts.size()), [&](int64_t index, int thread) {
      MultiplyLanes(parts[index], ScratchOf(thread));
    });
  }

  // Two stages, the second of which needs the same row of the first only. Small factors are packed
  // once, and both stages follow one another on tiles of rows, so that what is between them stays
  // in the cache; large ones are read once per call.
  void RunBoth(const LaneParts& first, const LaneParts& second, int64_t rows) {
    constexpr int64_t kMostPacked = 3 << 20;
    const int64_t packed = PackedSizeOf(first) + PackedSizeOf(second);
    const int64_t tile_rows = TileRows(first.front().c_row);
    if (packed > kMostPacked || rows < 2 * tile_rows) {
      Run(first);
      Run(second);
      return;
    }
    const Tensor storage = Tensor::Empty(device_, {packed});
    LaneParts parts = first;
    parts.insert(parts.end(), second.begin(), second.end());
    const std::vector<float*> places = Pack(parts, storage.data<float>());
    device_.threads().Run((rows + tile_rows - 1) / tile_rows, [&](int64_t tile, int thread) {
      const int64_t begin = tile * tile_rows;
      const int64_t end = std::min(begin + tile_rows, rows);
      for (size_t i = 0; i < parts.size(); ++i) {
        MultiplyPackedLanes(parts[i].Rows(begin, end), places[i], ScratchOf(thread));
      }
    });
  }

 private:
  // So many that what is between the stages stays in the second-level cache; a multiple of the
  // heights of most tiles.
  static int64_t TileRows(int64_t between) {
    constexpr int64_t kValues = 96 * 1024;
    return std::clamp<int64_t>(kValues / between / 24, 1, 3) * 24;
  }

  static int64_t PackedSizeOf(const LaneParts& parts) {
    int64_t size = 0;
    for (const LaneProduct& part : parts) size += PackedSize(part);
    return size;
  }

  std::vector<float*> Pack(const LaneParts& parts, float* to) {
    std::vector<float*> places;
    for (const LaneProduct& part : parts) {
      places.push_back(to);
      to += PackedSize(part);
    }
    device_.threads().Run(static_cast<int64_t>(parts.size()),
                          [&](int64_t index, int) { PackLanes(parts[index], places[index]); });
    return places;
  }

  float* ScratchOf(int thread) const { return scratch_.data<float>() + thread * kLaneScratch; }

  CpuDevice& device_;
  const Tensor scratch_;
};

class MonarchBackwardRun {
 public:
  MonarchBackwardRun(CpuDevice& device, const MonarchArguments& forward,
                     const MonarchGradients& gradients)
      : device_(device),
        forward_(forward),
        gradients_(gradients),
        sizes_(forward),
        runner_(device),
        dy_(PaddedGradient()) {}

  void Run() {
    const Tensor dh = Tensor::Empty(device_, forward_.h.shape());
    const float* const w1 = forward_.w1.data<float>();
    const LaneParts middle =
        MiddleGradient(sizes_, dy_.data<float>(), forward_.w2.data<float>(), dh.data<float>());
    if (gradients_.dx.defined()) {
      runner_.RunBoth(middle,
                      InputGradient(sizes_, dh.data<float>(), w1, gradients_.dx.data<float>(),
                                    gradients_.accumulate_dx),
                      sizes_.rows);
    } else if (gradients_.dw1.defined()) {
      runner_.Run(middle);
    }
    if (gradients_.dw1.defined()) {
      runner_.Run(FirstWeightGradient(sizes_, forward_.x.data<float>(), dh.data<float>(),
                                      gradients_.dw1.data<float>()));
    }
    if (gradients_.dw2.defined()) AddSecondWeightGradient();
    if (gradients_.dbias.defined()) AddBiasGradient();
  }

 private:
  // dy with rows of whole units: the lanes that have no output get no gradient.
  Tensor PaddedGradient() {
    const int64_t width = sizes_.used_s() * sizes_.second_blocks;
    if (width == sizes_.out) return gradients_.dy;
    const Tensor padded = Tensor::Empty(device_, {sizes_.rows, width});
    const float* const from = gradients_.dy.data<float>();
    float* const to = padded.data<float>();
    device_.threads().Run(sizes_.rows, [&](int64_t row, int) {
      std::fill(std::copy_n(from + row * sizes_.out, sizes_.out, to + row * width),
                to + (row + 1) * width, 0.0F);
    });
    return padded;
  }

  void AddSecondWeightGradient() {
    const Tensor sums = Tensor::Empty(device_, {sizes_.used_s(), sizes_.middle()});
    runner_.Run(SecondWeightGradient(sizes_, forward_.h.data<float>(), dy_.data<float>(),
                                     sums.data<float>()));
    float* const dw2 = gradients_.dw2.data<float>();
    const int64_t lanes = sizes_.second_blocks;
    device_.threads().Run(sizes_.used_s(), [&](int64_t u, int) {
      const float* const from = sums.data<float>() + u * sizes_.middle();
      for (int64_t l = 0; l < lanes; ++l) {
        float* const to = dw2 + (l * sizes_.s + u) * sizes_.r;
        for (int64_t t = 0; t < sizes_.r; ++t) to[t] += from[t * lanes + l];
      }
    });
  }

  void AddBiasGradient() {
    constexpr int64_t kColumns = 256;
    const float* const dy = gradients_.dy.data<float>();
    float* const dbias = gradients_.dbias.data<float>();
    device_.threads().Run((sizes_.out + kColumns - 1) / kColumns, [&](int64_t part, int) {
      const int64_t begin = part * kColumns;
      const int64_t end = std::min(begin + kColumns, sizes_.out);
      for (int64_t row = 0; row < sizes_.rows; ++row) {
        for (int64_t i = begin; i < end; ++i) dbias[i] += dy[row * sizes_.out + i];
      }
    });
  }

  CpuDevice& device_;
  const MonarchArguments& forward_;
  const MonarchGradients& gradients_;
  const MonarchSizes sizes_;
  LaneRunner runner_;
  const Tensor dy_;
};

class CpuStructuredKernels : public StructuredKernels {
 public:
  explicit CpuStructuredKernels(CpuDevice& device) : device_(device) {}

  void Monarch(const MonarchArguments& arguments) override {
    if (arguments.y.elements() == 0) return;
    if (arguments.y.dtype() == DType::kFloat64) return MonarchInDouble(arguments);
    const MonarchSizes sizes(arguments);
    float* const h = arguments.h.data<float>();
    LaneRunner(device_).RunBoth(
        FirstStage(sizes, arguments.x.data<float>(), arguments.w1.data<float>(), h),
        SecondStage(sizes, h, arguments.w2.data<float>(), DataOrNull(arguments.bias),
                    arguments.y.data<float>()),
        sizes.rows);
  }

  void MonarchBackward(const MonarchArguments& forward,
                       const MonarchGradients& gradients) override {
    if (gradients.dy.elements() == 0) return;
    if (gradients.dy.dtype() == DType::kFloat64) {
      return MonarchBackwardInDouble(forward, gradients);
    }
    MonarchBackwardRun(device_, forward, gradients).Run();
  }

 private:
  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<StructuredKernels> MakeCpuStructuredKernels(CpuDevice& device) {
  return std::make_unique<CpuStructuredKernels>(device);
}

}  // namespace trainyard
