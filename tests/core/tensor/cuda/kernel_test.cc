#include "tests/core/tensor/cuda/kernel_test.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace trainyard {

Numbers RandomNumbers(int64_t count, uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  Numbers values(static_cast<size_t>(count));
  for (double& value : values) value = static_cast<double>(normal(generator));
  return values;
}

std::vector<int32_t> RandomIntegers(int64_t count, int32_t low, int32_t high, uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::uniform_int_distribution<int32_t> uniform(low, high);
  std::vector<int32_t> values(static_cast<size_t>(count));
  for (int32_t& value : values) value = uniform(generator);
  return values;
}

namespace {

Tensor PutAs(Device& device, const Shape& shape, const Numbers& values, DType type) {
  if (type == DType::kFloat64) {
    return Tensor::FromValues<double>(device, shape, values);
  }
  const std::vector<float> floats(values.begin(), values.end());
  return Tensor::FromValues<float>(device, shape, floats);
}

}  // namespace

Tensor Put(Device& device, const Shape& shape, const Numbers& values, DType type,
           Placement placement) {
  switch (placement) {
    case Placement::kDense:
      return PutAs(device, shape, values, type);
    case Placement::kGapped: {
      const Tensor whole = Tensor::Full(device, shape.WithDim(-1, shape[-1] + 3), 1e30, type);
      const Tensor view = whole.Slice(-1, 1, shape[-1]);
      view.CopyFrom(PutAs(device, shape, values, type));
      return view;
    }
    case Placement::kTransposed: {
      Shape swapped = shape;
      swapped.set_dim(-1, shape[-2]);
      swapped.set_dim(-2, shape[-1]);
      const Tensor view = Tensor::Empty(device, swapped, type).Transposed();
      view.CopyFrom(PutAs(device, shape, values, type));
      return view;
    }
    case Placement::kUnaligned: {
      const Tensor whole = Tensor::Empty(device, {shape.elements() + 1}, type);
      const Tensor view = whole.Slice(0, 1, shape.elements()).View(shape);
      view.CopyFrom(PutAs(device, shape, values, type));
      return view;
    }
  }
  return {};
}

Tensor PutIntegers(Device& device, const Shape& shape, const std::vector<int32_t>& values) {
  return Tensor::FromValues<int32_t>(device, shape, values);
}

Numbers Get(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DType::kFloat64:
      return tensor.ToVector<double>();
    case DType::kFloat32: {
      const std::vector<float> values = tensor.ToVector<float>();
      return {values.begin(), values.end()};
    }
    case DType::kInt32: {
      const std::vector<int32_t> values = tensor.ToVector<int32_t>();
      return {values.begin(), values.end()};
    }
    case DType::kUint8: {
      const std::vector<uint8_t> values = tensor.ToVector<uint8_t>();
      return {values.begin(), values.end()};
    }
  }
  return {};
}

namespace {

void ExpectNear(const std::vector<Tensor>& results, const std::vector<Numbers>& expected,
                double tolerance, const std::string& where) {
  ASSERT_EQ(results.size(), expected.size()) << where;
  for (size_t i = 0; i < results.size(); ++i) {
    const Numbers values = Get(results[i]);
    ASSERT_EQ(values.size(), expected[i].size()) << where << ", result " << i;
    double largest = 0.1;
    for (const double value : expected[i]) largest = std::max(largest, std::abs(value));
    for (size_t j = 0; j < values.size(); ++j) {
      // Also false for NaN.
      if (std::abs(values[j] - expected[i][j]) <= tolerance * largest) continue;
      if (values[j] == expected[i][j]) continue;  // infinities
      ADD_FAILURE() << where << ", result " << i << ", element " << j << ": " << values[j]
                    << ", expected " << expected[i][j];
      return;
    }
  }
}

}  // namespace

void CudaKernelTest::SetUp() {
  std::string reason;
  device_ = GetParam().make(reason);
  if (device_ == nullptr) GTEST_SKIP() << reason;
}

void CudaKernelTest::CheckHere(const Operation& operation, const std::vector<Numbers>& expected,
                               double tolerance, double double_tolerance) {
  ExpectNear(operation(device(), DType::kFloat32), expected, tolerance, "float32");
  ExpectNear(operation(device(), DType::kFloat64), expected, double_tolerance, "float64");
}

void CudaKernelTest::Check(const Operation& operation, const std::vector<Numbers>& expected,
                           double tolerance, double double_tolerance) {
  CheckHere(operation, expected, tolerance, double_tolerance);
  ExpectNear(operation(cpu(), DType::kFloat32), expected, 4 * tolerance, "float32 on the CPU");
  ExpectNear(operation(cpu(), DType::kFloat64), expected, double_tolerance, "float64 on the CPU");
}

void PrintTo(const TestDevice& device, std::ostream* out) { *out << device.name; }

std::string NameOfTestDevice(const ::testing::TestParamInfo<TestDevice>& info) {
  return info.param.name;
}

}  // namespace trainyard
