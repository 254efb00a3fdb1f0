#include "tests/core/nn/nn_test_support.h"

#include <algorithm>
#include <cmath>

#include "core/nn/ops/shapes.h"
#include "core/tensor/kernels/random_kernels.h"
#include "core/tensor/tensor_error.h"
#include "gtest/gtest.h"

namespace trainyard::nn {

Tensor RandomTensor(const Shape& shape, uint64_t stream, DType type, double shift, Device& device) {
  const Tensor tensor = Tensor::Empty(device, shape, type);
  device.random().Normal({77, stream}, shift, 1, tensor);
  return tensor;
}

Tensor IntTensor(const Shape& shape, std::initializer_list<int32_t> values) {
  return Tensor::FromValues(TestDevice(), shape,
                            std::span<const int32_t>(values.begin(), values.size()));
}

Tensor DoubleTensor(const Shape& shape, std::initializer_list<double> values) {
  return Tensor::FromValues(TestDevice(), shape,
                            std::span<const double>(values.begin(), values.size()));
}

std::vector<double> Doubles(const Tensor& tensor) {
  return tensor.To(DType::kFloat64).ToVector<double>();
}

namespace {

// The element at row-major position `index`, wherever it lies.
double* ElementOf(const Tensor& tensor, int64_t index) {
  double* at = tensor.data<double>();
  for (int axis = tensor.rank() - 1; axis >= 0; --axis) {
    at += index % tensor.size(axis) * tensor.stride(axis);
    index /= tensor.size(axis);
  }
  return at;
}

double WeightedSum(const DifferentiatedFunction& function, const std::vector<Tensor>& inputs,
                   const std::vector<double>& weights) {
  const std::vector<Variable> constants(inputs.begin(), inputs.end());
  const std::vector<double> values = Doubles(function(constants).value());
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) sum += weights[i] * values[i];
  return sum;
}

std::vector<double> DifferencesBy(const DifferentiatedFunction& function,
                                  const std::vector<Tensor>& inputs, size_t which,
                                  const std::vector<double>& weights, double step) {
  std::vector<double> gradient;
  for (int64_t i = 0; i < inputs[which].elements(); ++i) {
    double* const element = ElementOf(inputs[which], i);
    const double value = *element;
    *element = value + step;
    const double above = WeightedSum(function, inputs, weights);
    *element = value - step;
    const double below = WeightedSum(function, inputs, weights);
    *element = value;
    gradient.push_back((above - below) / (2 * step));
  }
  return gradient;
}

// The same elements with the axes in reversed order in memory.
Tensor Strided(const Tensor& tensor) {
  std::vector<int> reversed;
  for (int axis = tensor.rank() - 1; axis >= 0; --axis) reversed.push_back(axis);
  return tensor.Permuted(reversed).Clone().Permuted(reversed);
}

using Gradients = std::vector<std::vector<double>>;

Gradients GradientsOf(const std::vector<Variable>& leaves) {
  Gradients gradients;
  for (const Variable& leaf : leaves) {
    const Tensor gradient = leaf.grad();
    gradients.push_back(gradient.defined()
                            ? Doubles(gradient)
                            : std::vector<double>(static_cast<size_t>(leaf.value().elements())));
  }
  return gradients;
}

Gradients OfLeaves(const DifferentiatedFunction& function, const std::vector<Tensor>& inputs,
                   const Tensor& seed) {
  std::vector<Variable> leaves;
  for (const Tensor& input : inputs) leaves.push_back(Variable::Leaf(input));
  Backward(function(leaves), seed);
  return GradientsOf(leaves);
}

// Inputs are the middle of leaves that are wider along the last axis.
Gradients OfParts(const DifferentiatedFunction& function, const std::vector<Tensor>& inputs,
                  const Tensor& seed) {
  std::vector<Variable> leaves;
  std::vector<Variable> parts;
  for (const Tensor& input : inputs) {
    const int64_t width = input.size(-1);
    const Tensor wide =
        Tensor::Zeros(input.device(), input.shape().WithDim(-1, width + 3), DType::kFloat64);
    wide.Slice(-1, 2, width).CopyFrom(input);
    leaves.push_back(Variable::Leaf(wide));
    parts.push_back(Split(leaves.back(), -1, {2, width, 1})[1]);
  }
  Backward(function(parts), seed);
  Gradients gradients;
  for (size_t i = 0; i < leaves.size(); ++i) {
    const Tensor gradient = leaves[i].grad();
    gradients.push_back(gradient.defined()
                            ? Doubles(gradient.Slice(-1, 2, inputs[i].size(-1)))
                            : std::vector<double>(static_cast<size_t>(inputs[i].elements())));
  }
  return gradients;
}

void ExpectNear(const Gradients& actual, const Gradients& expected, double factor, double tolerance,
                const char* how) {
  for (size_t input = 0; input < expected.size(); ++input) {
    ASSERT_EQ(actual[input].size(), expected[input].size());
    for (size_t i = 0; i < expected[input].size(); ++i) {
      const double wanted = factor * expected[input][i];
      EXPECT_NEAR(actual[input][i], wanted, tolerance * std::max(1.0, std::abs(wanted)))
          << how << ": input " << input << ", element " << i;
    }
  }
}

}  // namespace

void ExpectGradients(const DifferentiatedFunction& function, const std::vector<Tensor>& inputs,
                     const GradientCheck& check) {
  const Tensor y = function(std::vector<Variable>(inputs.begin(), inputs.end())).value();
  const Tensor seed = RandomTensor(y.shape(), 4711);
  const std::vector<double> weights = Doubles(seed);
  Gradients expected;
  for (size_t i = 0; i < inputs.size(); ++i) {
    expected.push_back(DifferencesBy(function, inputs, i, weights, check.step));
  }
  const auto expect = [&](const Gradients& actual, double factor, const char* how) {
    ExpectNear(actual, expected, factor, check.tolerance, how);
  };
  expect(OfLeaves(function, inputs, seed), 1, "contiguous leaves");
  std::vector<Tensor> strided;
  for (const Tensor& input : inputs) strided.push_back(Strided(input));
  expect(OfLeaves(function, strided, seed), 1, "strided leaves");
  expect(OfLeaves(function, inputs, Strided(seed)), 1, "a strided gradient");
  const bool all_have_axes =
      std::ranges::all_of(inputs, [](const Tensor& input) { return input.rank() > 0; });
  if (all_have_axes) expect(OfParts(function, inputs, seed), 1, "parts");
  // Two passes into the same leaves.
  std::vector<Variable> leaves;
  for (const Tensor& input : inputs) leaves.push_back(Variable::Leaf(input));
  Backward(function(leaves), seed);
  Backward(function(leaves), seed);
  expect(GradientsOf(leaves), 2, "two passes");
  // One input at a time needs a gradient.
  for (size_t only = 0; only < inputs.size(); ++only) {
    std::vector<Variable> mixed(inputs.begin(), inputs.end());
    mixed[only] = Variable::Leaf(inputs[only]);
    const Variable result = function(mixed);
    if (result.requires_grad()) Backward(result, seed);
    ExpectNear(GradientsOf({mixed[only]}), {expected[only]}, 1, check.tolerance, "one leaf");
  }
}

std::string ErrorOf(const std::function<void()>& function) {
  try {
    function();
  } catch (const TensorError& error) {
    return std::string(error.status().message());
  }
  return "";
}

}  // namespace trainyard::nn
