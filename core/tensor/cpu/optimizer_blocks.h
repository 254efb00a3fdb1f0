// Steps of optimisers on contiguous parameters, for the instruction set of this machine.
#pragma once

#include <cstdint>

namespace trainyard {

// `count` values of one parameter and what belongs to them. first and second may be null where an
// optimiser has none.
template <typename T>
struct OptimizerBlock {
  int64_t count = 0;
  T* value = nullptr;
  const T* gradient = nullptr;
  T* first = nullptr;
  T* second = nullptr;
  T gradient_scale = 1;
  T rate = 0;
  T decay = 0;   // gradient + decay * value is what counts
  T shrink = 1;  // value * shrink comes before the step
};

template <typename T>
struct AdamFactors {
  T beta1 = 0;
  T beta2 = 0;
  T rest1 = 0;  // 1 - beta
  T rest2 = 0;
  T correction1 = 1;  // 1 / (1 - beta1^step)
  T correction2 = 1;  // 1 / sqrt(1 - beta2^step)
  T epsilon = 0;
};

template <typename T>
struct OptimizerBlocks {
  void (*sgd)(const OptimizerBlock<T>& block, T momentum, bool nesterov) = nullptr;
  void (*adam)(const OptimizerBlock<T>& block, const AdamFactors<T>& factors) = nullptr;
  void (*lion)(const OptimizerBlock<T>& block, const AdamFactors<T>& factors) = nullptr;
  // average = decay * average + rest * value.
  void (*average)(const T* value, int64_t n, T decay, T rest, T* average) = nullptr;
};

template <typename T>
const OptimizerBlocks<T>& OptimizerBlocksOf();
template <>
const OptimizerBlocks<float>& OptimizerBlocksOf<float>();
template <>
const OptimizerBlocks<double>& OptimizerBlocksOf<double>();

void SetAvx2Blocks(OptimizerBlocks<float>& blocks);
void SetAvx512Blocks(OptimizerBlocks<float>& blocks);
void SetDoubleBlocks(OptimizerBlocks<double>& blocks);

}  // namespace trainyard
