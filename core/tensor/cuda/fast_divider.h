// Division by numbers that are known before a kernel starts.
#pragma once

#include <cstdint>

#include "core/tensor/kernels/portable.h"

namespace trainyard::cuda {

// Quotients of 32-bit numbers by one multiplication (Granlund and Montgomery, "Division by
// invariant integers using multiplication", PLDI 1994, figure 4.1). GPUs have no instruction that
// divides.
class FastDivider {
 public:
  FastDivider() = default;
  // 1 <= divisor < 2^31.
  explicit FastDivider(uint32_t divisor) : divisor_(divisor) {
    while ((uint64_t{1} << shift_) < divisor) ++shift_;
    multiplier_ = static_cast<uint32_t>(
        ((uint64_t{1} << 32) * ((uint64_t{1} << shift_) - divisor)) / divisor + 1);
  }

  TRAINYARD_PORTABLE uint32_t divisor() const { return divisor_; }
  // `number` < 2^31.
  TRAINYARD_PORTABLE uint32_t Quotient(uint32_t number) const {
    const auto high = static_cast<uint32_t>((uint64_t{number} * multiplier_) >> 32);
    return (high + number) >> shift_;
  }

 private:
  uint32_t divisor_ = 1;
  uint32_t multiplier_ = 1;
  uint32_t shift_ = 0;
};

}  // namespace trainyard::cuda
