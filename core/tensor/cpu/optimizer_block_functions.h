// The functions of optimizer_blocks.h, compiled once for each instruction set.
#pragma once

#include "core/tensor/cpu/lanes_access.h"
#include "core/tensor/cpu/optimizer_blocks.h"

namespace trainyard::TRAINYARD_LANES {

using Step = OptimizerBlock<Scalar>;

inline void SgdBlock(const Step& block, Scalar momentum, bool nesterov) {
  const auto [count, value, gradient, first, second, gradient_scale, rate, decay, shrink] = block;
  const Lanes factor = Lanes::Of(gradient_scale);
  const Lanes pull = Lanes::Of(decay);
  const Lanes step = Lanes::Of(-rate);
  const Lanes keep = Lanes::Of(momentum);
  ForLanes(count, [=, value = value, gradient = gradient, first = first](auto access, int64_t j) {
    const Lanes v = access.Load(value + j);
    Lanes g = Fma(pull, v, factor * access.Load(gradient + j));
    if (first != nullptr) {
      const Lanes m = Fma(keep, access.Load(first + j), g);
      access.Store(m, first + j);
      g = nesterov ? Fma(keep, m, g) : m;
    }
    access.Store(Fma(step, g, v), value + j);
  });
}

inline void AdamBlock(const Step& block, const AdamFactors<Scalar>& factors) {
  const auto [count, value, gradient, first, second, gradient_scale, rate, decay, shrink] = block;
  const Lanes factor = Lanes::Of(gradient_scale);
  const Lanes pull = Lanes::Of(decay);
  const Lanes keep = Lanes::Of(shrink);
  const Lanes step = Lanes::Of(-rate * factors.correction1);
  const Lanes beta1 = Lanes::Of(factors.beta1);
  const Lanes beta2 = Lanes::Of(factors.beta2);
  const Lanes rest1 = Lanes::Of(factors.rest1);
  const Lanes rest2 = Lanes::Of(factors.rest2);
  const Lanes correction2 = Lanes::Of(factors.correction2);
  const Lanes epsilon = Lanes::Of(factors.epsilon);
  ForLanes(count, [=, value = value, gradient = gradient, first = first, second = second](
                      auto access, int64_t j) {
    const Lanes v = access.Load(value + j);
    const Lanes g = Fma(pull, v, factor * access.Load(gradient + j));
    const Lanes m = Fma(beta1, access.Load(first + j), rest1 * g);
    const Lanes s = Fma(beta2, access.Load(second + j), rest2 * g * g);
    access.Store(m, first + j);
    access.Store(s, second + j);
    access.Store(Fma(step, m / Fma(Sqrt(s), correction2, epsilon), keep * v), value + j);
  });
}

inline void LionBlock(const Step& block, const AdamFactors<Scalar>& factors) {
  const auto [count, value, gradient, first, second, gradient_scale, rate, decay, shrink] = block;
  const Lanes zero = Lanes::Of(0);
  const Lanes factor = Lanes::Of(gradient_scale);
  const Lanes keep = Lanes::Of(shrink);
  const Lanes step = Lanes::Of(rate);
  const Lanes beta1 = Lanes::Of(factors.beta1);
  const Lanes beta2 = Lanes::Of(factors.beta2);
  const Lanes rest1 = Lanes::Of(factors.rest1);
  const Lanes rest2 = Lanes::Of(factors.rest2);
  ForLanes(count, [=, value = value, gradient = gradient, first = first](auto access, int64_t j) {
    const Lanes g = factor * access.Load(gradient + j);
    const Lanes m = access.Load(first + j);
    const Lanes direction = Fma(beta1, m, rest1 * g);
    const Lanes by = Select(zero < direction, step, Select(direction < zero, Negate(step), zero));
    access.Store(keep * access.Load(value + j) - by, value + j);
    access.Store(Fma(beta2, m, rest2 * g), first + j);
  });
}

inline void AverageBlock(const Scalar* value, int64_t n, Scalar decay, Scalar rest,
                         Scalar* average) {
  const Lanes old_part = Lanes::Of(decay);
  const Lanes new_part = Lanes::Of(rest);
  ForLanes(n, [=](auto access, int64_t j) {
    access.Store(Fma(old_part, access.Load(average + j), new_part * access.Load(value + j)),
                 average + j);
  });
}

inline void SetAll(OptimizerBlocks<Scalar>& blocks) {
  blocks.sgd = SgdBlock;
  blocks.adam = AdamBlock;
  blocks.lion = LionBlock;
  blocks.average = AverageBlock;
}

}  // namespace trainyard::TRAINYARD_LANES
