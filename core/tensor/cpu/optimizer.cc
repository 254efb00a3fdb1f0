#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>
#include <vector>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/optimizer_blocks.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/kernels/optimizer_kernels.h"

namespace trainyard {
namespace {

// Elements that one task works on.
constexpr int64_t kChunk = 16384;

struct Piece {
  size_t tensor;
  int64_t begin;
  int64_t end;
};

// All elements of all tensors, in pieces that many threads can share: the same for any number of
// them.
class Pieces {
 public:
  template <typename Items, typename ElementsOf>
  Pieces(const Items& items, const ElementsOf& elements_of) {
    for (size_t i = 0; i < items.size(); ++i) {
      const int64_t elements = elements_of(items[i]);
      elements_ += elements;
      for (int64_t begin = 0; begin < elements; begin += kChunk) {
        pieces_.push_back({i, begin, std::min(elements, begin + kChunk)});
      }
    }
  }

  size_t size() const { return pieces_.size(); }

  // Calls function(number, piece) for all.
  template <typename Function>
  void Run(ThreadPool& pool, const Function& function) const {
    const auto of_pieces = [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) function(static_cast<size_t>(i), pieces_[i]);
    };
    if (elements_ < kChunk) return of_pieces(0, static_cast<int64_t>(size()));
    ParallelRanges(pool, static_cast<int64_t>(size()), 1, of_pieces, 1);
  }

 private:
  std::vector<Piece> pieces_;
  int64_t elements_ = 0;
};

template <typename T>
T* PointerAt(const Tensor& tensor, int64_t index) {
  return tensor.defined() ? tensor.data<T>() + index : nullptr;
}

template <typename T>
OptimizerBlock<T> BlockOf(const OptimizerSlot& slot, const Piece& piece, double rate,
                          double gradient_scale, bool decoupled) {
  rate *= slot.rate_factor;
  OptimizerBlock<T> block;
  block.count = piece.end - piece.begin;
  block.value = PointerAt<T>(slot.value, piece.begin);
  block.gradient = PointerAt<T>(slot.gradient, piece.begin);
  block.first = PointerAt<T>(slot.first, piece.begin);
  block.second = PointerAt<T>(slot.second, piece.begin);
  block.gradient_scale = static_cast<T>(gradient_scale);
  block.rate = static_cast<T>(rate);
  block.decay = static_cast<T>(decoupled ? 0 : slot.weight_decay);
  block.shrink = static_cast<T>(decoupled ? 1 - rate * slot.weight_decay : 1);
  return block;
}

template <typename T>
AdamFactors<T> FactorsOf(double beta1, double beta2) {
  AdamFactors<T> factors;
  factors.beta1 = static_cast<T>(beta1);
  factors.beta2 = static_cast<T>(beta2);
  factors.rest1 = static_cast<T>(1 - beta1);
  factors.rest2 = static_cast<T>(1 - beta2);
  return factors;
}

template <typename T>
AdamFactors<T> FactorsOf(const AdamStep& step) {
  AdamFactors<T> factors = FactorsOf<T>(step.beta1, step.beta2);
  const double count = static_cast<double>(step.step);
  factors.correction1 = static_cast<T>(1 / (1 - std::pow(step.beta1, count)));
  factors.correction2 = static_cast<T>(1 / std::sqrt(1 - std::pow(step.beta2, count)));
  factors.epsilon = static_cast<T>(step.epsilon);
  return factors;
}

// Sums side by side, so that additions need not wait for each other.
template <typename T>
double SquaresOf(const T* values, int64_t n) {
  constexpr int64_t kSums = 32;
  std::array<double, kSums> sums{};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int64_t k = 0; k < kSums; ++k) {
      const double value = values[i + k];
      sums[k] += value * value;
    }
  }
  for (; i < n; ++i) sums[0] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

class CpuOptimizerKernels : public OptimizerKernels {
 public:
  explicit CpuOptimizerKernels(CpuDevice& device) : device_(device) {}

  void Sgd(std::span<const OptimizerSlot> slots, const SgdStep& step,
           const Tensor& scale) override {
    ForPieces(slots, scale,
              [&]<typename T>(const OptimizerSlot& slot, const Piece& piece, double factor) {
                OptimizerBlocksOf<T>().sgd(
                    BlockOf<T>(slot, piece, step.rate, factor, /*decoupled=*/false),
                    static_cast<T>(step.momentum), step.nesterov);
              });
  }
  void Adam(std::span<const OptimizerSlot> slots, const AdamStep& step,
            const Tensor& scale) override {
    const auto floats = FactorsOf<float>(step);
    const auto doubles = FactorsOf<double>(step);
    ForPieces(slots, scale,
              [&]<typename T>(const OptimizerSlot& slot, const Piece& piece, double factor) {
                OptimizerBlocksOf<T>().adam(
                    BlockOf<T>(slot, piece, step.rate, factor, step.decoupled),
                    std::get<const AdamFactors<T>&>(std::tie(floats, doubles)));
              });
  }
  void Lion(std::span<const OptimizerSlot> slots, const LionStep& step,
            const Tensor& scale) override {
    ForPieces(slots, scale,
              [&]<typename T>(const OptimizerSlot& slot, const Piece& piece, double factor) {
                OptimizerBlocksOf<T>().lion(
                    BlockOf<T>(slot, piece, step.rate, factor, /*decoupled=*/true),
                    FactorsOf<T>(step.beta1, step.beta2));
              });
  }

  void GlobalNorm(std::span<const Tensor> tensors, const Tensor& norm) override {
    const Pieces pieces(tensors, [](const Tensor& tensor) { return tensor.elements(); });
    std::vector<double> sums(pieces.size());
    pieces.Run(device_.threads(), [&](size_t i, const Piece& piece) {
      const Tensor& tensor = tensors[piece.tensor];
      DispatchFloating(tensor.dtype(), "norm", [&]<typename T>() {
        sums[i] = SquaresOf(tensor.data<T>() + piece.begin, piece.end - piece.begin);
      });
    });
    double sum = 0;
    for (const double part : sums) sum += part;
    norm.data<double>()[0] = std::sqrt(sum);
  }

  void ClipScale(const Tensor& norm, double limit, const Tensor& scale) override {
    const double value = norm.data<double>()[0];
    double factor = limit > 0 && value > limit ? limit / value : 1;
    if (!std::isfinite(value)) factor = 0;
    scale.data<double>()[0] = factor;
  }

  void MovingAverage(std::span<const Tensor> values, std::span<const Tensor> averages,
                     double decay) override {
    const Pieces pieces(values, [](const Tensor& tensor) { return tensor.elements(); });
    pieces.Run(device_.threads(), [&](size_t, const Piece& piece) {
      const Tensor& value = values[piece.tensor];
      DispatchFloating(value.dtype(), "average", [&]<typename T>() {
        OptimizerBlocksOf<T>().average(value.data<T>() + piece.begin, piece.end - piece.begin,
                                       static_cast<T>(decay), static_cast<T>(1 - decay),
                                       averages[piece.tensor].data<T>() + piece.begin);
      });
    });
  }

 private:
  // One parallel loop over all parameters.
  template <typename Function>
  void ForPieces(std::span<const OptimizerSlot> slots, const Tensor& scale,
                 const Function& function) {
    const double factor = scale.defined() ? scale.data<double>()[0] : 1;
    if (factor == 0 || !std::isfinite(factor)) return;
    const Pieces pieces(slots, [](const OptimizerSlot& slot) { return slot.value.elements(); });
    pieces.Run(device_.threads(), [&](size_t, const Piece& piece) {
      const OptimizerSlot& slot = slots[piece.tensor];
      DispatchFloating(slot.value.dtype(), "optimizer",
                       [&]<typename T>() { function.template operator()<T>(slot, piece, factor); });
    });
  }

  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<OptimizerKernels> MakeCpuOptimizerKernels(CpuDevice& device) {
  return std::make_unique<CpuOptimizerKernels>(device);
}

}  // namespace trainyard
