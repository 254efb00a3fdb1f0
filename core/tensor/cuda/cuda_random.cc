#include <memory>

#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/cuda_kernels.h"
#include "core/tensor/cuda/random.h"
#include "core/tensor/kernels/random_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

class CudaRandomKernels : public RandomKernels {
 public:
  explicit CudaRandomKernels(CudaDevice& device) : device_(device) {}

  void Uniform(RandomStream stream, double low, double high, const Tensor& out) override {
    if (out.elements() == 0) return;
    DispatchFloating(out.dtype(), "uniform", [&]<typename T>() {
      LaunchUniform<T>(device_.platform(), ArgumentsOf(stream, out), low, high);
    });
  }
  void Normal(RandomStream stream, double mean, double deviation, const Tensor& out) override {
    if (out.elements() == 0) return;
    DispatchFloating(out.dtype(), "normal", [&]<typename T>() {
      LaunchNormal<T>(device_.platform(), ArgumentsOf(stream, out), mean, deviation);
    });
  }
  void Dropout(RandomStream stream, double rate, const Tensor& x, const Tensor& y,
               bool accumulate) override {
    if (y.elements() == 0) return;
    DispatchFloating(y.dtype(), "dropout", [&]<typename T>() {
      LaunchDropout<T>(device_.platform(), ArgumentsOf(stream, y), rate, x.raw_data(), accumulate);
    });
  }

 private:
  RandomArguments ArgumentsOf(RandomStream stream, const Tensor& out) const {
    return {.seed = stream.seed,
            .stream = stream.stream,
            .stream_offset = device_.random_stream_offset(),
            .elements = out.elements(),
            .out = out.raw_data()};
  }

  CudaDevice& device_;
};

}  // namespace

std::unique_ptr<RandomKernels> MakeRandomKernels(CudaDevice& device) {
  return std::make_unique<CudaRandomKernels>(device);
}

}  // namespace trainyard::cuda
