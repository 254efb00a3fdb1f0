// What tests of CUDA's kernels share: the devices they run on, inputs, and comparisons.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/tensor.h"

namespace trainyard {

// How a tensor of a test lies in memory.
enum class Placement : uint8_t {
  kDense,
  kGapped,      // a slice of a larger one along the last axis; the last stride is 1
  kTransposed,  // the last two axes swapped
  kUnaligned,   // dense, but one element behind an aligned address
};

using Numbers = std::vector<double>;

// `count` normally distributed numbers that float32 holds exactly.
Numbers RandomNumbers(int64_t count, uint64_t seed);
// Integers in [low, high].
std::vector<int32_t> RandomIntegers(int64_t count, int32_t low, int32_t high, uint64_t seed);

Tensor Put(Device& device, const Shape& shape, const Numbers& values, DType type,
           Placement placement = Placement::kDense);
Tensor PutIntegers(Device& device, const Shape& shape, const std::vector<int32_t>& values);
// All elements in row-major order.
Numbers Get(const Tensor& tensor);

// The same tests run on the interpreter, in several orders of threads, and on a GPU; which of them
// a program has depends on the library it is linked with (devices_of_*.cc).
struct TestDevice {
  std::string name;
  // Null, with a reason, where there is no such device here.
  std::function<std::unique_ptr<CudaDevice>(std::string& reason)> make;
};
std::vector<TestDevice> TestDevices();
void PrintTo(const TestDevice& device, std::ostream* out);

class CudaKernelTest : public ::testing::TestWithParam<TestDevice> {
 protected:
  void SetUp() override;

  CudaDevice& device() { return *device_; }
  CpuDevice& cpu() { return cpu_; }

  // Results of an operation on a device, in a type.
  using Operation = std::function<std::vector<Tensor>(Device& device, DType type)>;
  // Compares the results in float32 and in float64, on this device and on the CPU, with numbers
  // computed apart. `tolerance` is that of float32, relative to the largest number of a result;
  // float64 gets 1e-12 or `double_tolerance`.
  void Check(const Operation& operation, const std::vector<Numbers>& expected,
             double tolerance = 2e-6, double double_tolerance = 1e-12);
  // The same without the CPU.
  void CheckHere(const Operation& operation, const std::vector<Numbers>& expected,
                 double tolerance = 2e-6, double double_tolerance = 1e-12);

 private:
  std::unique_ptr<CudaDevice> device_;
  CpuDevice cpu_{2};
};

std::string NameOfTestDevice(const ::testing::TestParamInfo<TestDevice>& info);

#define INSTANTIATE_CUDA_KERNEL_TEST(Suite) \
  INSTANTIATE_TEST_SUITE_P(, Suite, ::testing::ValuesIn(TestDevices()), &NameOfTestDevice)

}  // namespace trainyard
