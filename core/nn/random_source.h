// Numbers of random streams.
#pragma once

#include <cstdint>

#include "core/tensor/kernels/random_kernels.h"

namespace trainyard::nn {

// Numbers the random streams of one training. Two calls never give the same stream.
class RandomSource {
 public:
  explicit RandomSource(uint64_t seed) : seed_(seed) {}
  uint64_t seed() const { return seed_; }
  // The whole state: what the next call takes.
  uint64_t next_stream() const { return next_; }
  void set_next_stream(uint64_t next) { next_ = next; }
  RandomStream TakeStream() { return {seed_, next_++}; }

 private:
  uint64_t seed_;
  uint64_t next_ = 0;
};

}  // namespace trainyard::nn
