// What tests of core/nn share: a device, tensors of random numbers, gradients by differences.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "core/nn/variable.h"
#include "core/tensor/device.h"
#include "core/tensor/tensor.h"

namespace trainyard::nn {

// One device for all tests of a program: the CPU with two threads, or the interpreter of CUDA's
// kernels, as the program is linked.
Device& TestDevice();

// Normal numbers of a stream of their own; `shift` is added.
Tensor RandomTensor(const Shape& shape, uint64_t stream, DType type = DType::kFloat64,
                    double shift = 0, Device& device = TestDevice());
Tensor IntTensor(const Shape& shape, std::initializer_list<int32_t> values);
Tensor DoubleTensor(const Shape& shape, std::initializer_list<double> values);

// All elements as doubles.
std::vector<double> Doubles(const Tensor& tensor);

using DifferentiatedFunction = std::function<Variable(std::span<const Variable>)>;

struct GradientCheck {
  double step = 1e-5;
  double tolerance = 2e-7;  // of |difference| / max(1, |expected|)
};

// Expects the gradients of sum(random * function(inputs)), float64, by every input to be those of
// central differences, however the inputs lie in memory and wherever gradients are written:
//   * contiguous leaves;
//   * leaves with strides (the axes lie in memory in reversed order);
//   * parts of wider leaves (Split), so that gradients go to slices of one buffer;
//   * inputs with a gradient already, which is added to.
void ExpectGradients(const DifferentiatedFunction& function, const std::vector<Tensor>& inputs,
                     const GradientCheck& check = {});

// The message of the TensorError that `function` throws; "" when it throws none.
std::string ErrorOf(const std::function<void()>& function);

}  // namespace trainyard::nn
