// A stack of blocks as a whole: gradients by central differences, the same bits in every run.
#include "tests/core/nn/gpt_model.h"

#include <vector>

#include "core/nn/optim/gradient_scaling.h"
#include "core/nn/optim/optimizer.h"
#include "core/tensor/cpu/cpu_device.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {
namespace {

Tensor Tokens(Device& device, int64_t batch, int64_t context, int32_t vocabulary) {
  std::vector<int32_t> tokens(static_cast<size_t>(batch * context));
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>((i * i + 3 * i) % static_cast<size_t>(vocabulary));
  }
  return Tensor::FromValues(device, {batch, context}, std::span<const int32_t>(tokens));
}

TEST(GptModelTest, GradientsAreThoseOfDifferences) {
  const GptSizes sizes{.vocabulary = 7, .context = 5, .width = 8, .layers = 2, .heads = 2};
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  const GptModel model(parameters, sizes);
  // Larger than they begin, so that attention is not even.
  parameters.Find("tokens.weight")->value().CopyFrom(RandomTensor({7, 8}, 1));
  const Tensor tokens = Tokens(TestDevice(), 2, 5, 7);
  const auto loss = [&] { return model.Loss(tokens, tokens).value().Item(); };
  Backward(model.Loss(tokens, tokens));
  const NoGradScope no_grad;
  for (const auto& parameter : parameters.all()) {
    SCOPED_TRACE(parameter->name());
    const std::vector<double> gradient = Doubles(parameter->grad());
    double* const values = parameter->value().data<double>();
    for (size_t i = 0; i < gradient.size(); i += 7) {
      const double value = values[i];
      values[i] = value + 1e-5;
      const double above = loss();
      values[i] = value - 1e-5;
      const double below = loss();
      values[i] = value;
      EXPECT_NEAR(gradient[i], (above - below) / 2e-5, 1e-7);
    }
  }
}

std::vector<double> WeightsAfterSteps(int threads) {
  const GptSizes sizes{.vocabulary = 64, .context = 128, .width = 64, .layers = 2, .heads = 4};
  CpuDevice device(threads);
  ParameterSet parameters(device, 3);
  const GptModel model(parameters, sizes);
  Optimizer optimizer(parameters, {.weight_decay = 0.1});
  const Tensor tokens = Tokens(device, 4, 128, 64);
  for (int step = 0; step < 3; ++step) {
    parameters.ClearGradients();
    Backward(model.Loss(tokens, tokens));
    optimizer.Step(1e-3, ScaleGradients(parameters, 1, 1).scales);
  }
  std::vector<double> weights;
  for (const auto& parameter : parameters.all()) {
    for (const double value : Doubles(parameter->value())) weights.push_back(value);
  }
  return weights;
}

TEST(GptModelTest, EveryRunHasTheSameBits) {
  for (const int threads : {1, 2}) {
    const std::vector<double> first = WeightsAfterSteps(threads);
    for (int run = 0; run < 2; ++run) {
      EXPECT_TRUE(WeightsAfterSteps(threads) == first) << threads << " threads";
    }
  }
}

}  // namespace
}  // namespace trainyard::nn
