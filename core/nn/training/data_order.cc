#include "core/nn/training/data_order.h"

#include <algorithm>
#include <numeric>

#include "core/base/random.h"

namespace trainyard::nn {

DataOrder::DataOrder(int64_t count, uint64_t seed, bool shuffled)
    : count_(count), seed_(seed), shuffled_(shuffled), order_(static_cast<size_t>(count)) {
  Arrange();
}

void DataOrder::Arrange() {
  std::iota(order_.begin(), order_.end(), 0);
  if (shuffled_) Rng(seed_, static_cast<uint64_t>(epoch_)).Shuffle(std::span(order_));
}

std::span<const int64_t> DataOrder::Take(int64_t size) {
  batch_.clear();
  while (static_cast<int64_t>(batch_.size()) < size) {
    const int64_t wanted = size - static_cast<int64_t>(batch_.size());
    const int64_t part = std::min(wanted, count_ - position_);
    batch_.insert(batch_.end(), order_.begin() + position_, order_.begin() + position_ + part);
    position_ += part;
    if (position_ < count_) continue;
    ++epoch_;
    position_ = 0;
    Arrange();
  }
  return batch_;
}

void DataOrder::Save(ByteWriter& writer) const {
  writer.Put(count_);
  writer.Put(epoch_);
  writer.Put(position_);
}

void DataOrder::Load(ByteReader& reader) {
  const auto count = reader.Take<int64_t>();
  epoch_ = reader.Take<int64_t>();
  position_ = reader.Take<int64_t>();
  if (count != count_ || epoch_ < 0 || position_ < 0 || position_ >= count_) {
    reader.Fail();
    epoch_ = 0;
    position_ = 0;
  }
  Arrange();
}

}  // namespace trainyard::nn
