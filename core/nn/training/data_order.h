// In which order samples are learnt from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/byte_stream.h"

namespace trainyard::nn {

// Samples 0 … count - 1, each once an epoch, in an order of its own in each epoch that follows from
// seed and epoch alone. Batches go on from one epoch into the next.
class DataOrder {
 public:
  // `count` >= 1. Without `shuffled` the order is that of the numbers.
  DataOrder(int64_t count, uint64_t seed, bool shuffled = true);

  // The next `size` samples; valid until the next call.
  std::span<const int64_t> Take(int64_t size);

  int64_t count() const { return count_; }
  // Epochs that are over.
  int64_t epoch() const { return epoch_; }
  // Samples taken so far, in all epochs.
  int64_t taken() const { return epoch_ * count_ + position_; }

  // The position.
  void Save(ByteWriter& writer) const;
  void Load(ByteReader& reader);

 private:
  void Arrange();

  const int64_t count_;
  const uint64_t seed_;
  const bool shuffled_;
  int64_t epoch_ = 0;
  int64_t position_ = 0;        // in the epoch, below count_
  std::vector<int64_t> order_;  // of the epoch
  std::vector<int64_t> batch_;
};

}  // namespace trainyard::nn
