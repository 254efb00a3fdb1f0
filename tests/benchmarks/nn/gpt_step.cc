// gpt_step WIDTH LAYERS HEADS CONTEXT BATCH THREADS STEPS
//
// Times steps of AdamW on a GPT-like stack (256 tokens, hidden layers of 4 WIDTH) and prints one
// line of JSON: the least and the median wall time of a step, the least processor time, in s, and
// the peaks of memory, in bytes: of tensors, and of the process beyond what it had before.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "core/nn/optim/gradient_scaling.h"
#include "core/nn/optim/optimizer.h"
#include "core/tensor/cpu/cpu_device.h"
#include "tests/benchmarks/tensor/compare.h"
#include "tests/core/nn/gpt_model.h"

namespace trainyard::nn {
namespace {

int64_t PeakBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

Tensor RandomTokens(Device& device, int64_t batch, int64_t context) {
  std::minstd_rand generator(1);
  std::vector<int32_t> tokens(static_cast<size_t>(batch * context));
  for (int32_t& token : tokens) token = static_cast<int32_t>(generator() % 256);
  return Tensor::FromValues(device, {batch, context}, std::span<const int32_t>(tokens));
}

void Run(const GptSizes& sizes, int64_t batch, int threads, int steps) {
  const int64_t before = PeakBytes();
  CpuDevice device(threads);
  ParameterSet parameters(device, 1);
  const GptModel model(parameters, sizes);
  Optimizer optimizer(parameters, {.weight_decay = 0.01});
  const Tensor tokens = RandomTokens(device, batch, sizes.context);
  const auto step = [&] {
    parameters.ClearGradients();
    Backward(model.Loss(tokens, tokens));
    optimizer.Step(1e-4, ScaleGradients(parameters, 1, 1).scales);
  };
  for (int i = 0; i < 3; ++i) step();
  std::vector<double> times;
  BestTimes best;
  for (int i = 0; i < steps; ++i) times.push_back(Measure(1, best, step));
  std::ranges::sort(times);
  std::printf(
      "{\"least\": %.6g, \"median\": %.6g, \"processor\": %.6g, \"tensors\": %zu, "
      "\"process\": %lld}\n",
      times.front(), times[times.size() / 2], best.processor,
      device.memory().statistics().peak_live_bytes, static_cast<long long>(PeakBytes() - before));
}

}  // namespace
}  // namespace trainyard::nn

int main(int argc, char** argv) {
  if (argc != 8) {
    std::fprintf(stderr, "usage: gpt_step WIDTH LAYERS HEADS CONTEXT BATCH THREADS STEPS\n");
    return 2;
  }
  const auto number = [&](int i) { return std::atoi(argv[i]); };
  trainyard::nn::GptSizes sizes;
  sizes.width = number(1);
  sizes.layers = number(2);
  sizes.heads = number(3);
  sizes.context = number(4);
  trainyard::nn::Run(sizes, number(5), number(6), number(7));
  return 0;
}
