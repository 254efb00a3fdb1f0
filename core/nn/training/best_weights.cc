#include "core/nn/training/best_weights.h"

#include "core/nn/state/weights.h"

namespace trainyard::nn {

void BestWeights::Offer(int64_t step, double objective) {
  if (version_ != parameters_.version()) {
    version_ = parameters_.version();
    objective_ = std::numeric_limits<double>::infinity();
    fruitless_ = 0;
  }
  // An objective that is not a number is never better.
  if (!(objective < objective_ - rule_.least_gain)) {
    ++fruitless_;
    return;
  }
  objective_ = objective;
  step_ = step;
  fruitless_ = 0;
  if (!rule_.restore_best) return;
  ByteWriter writer;
  PutWeights(writer, parameters_);
  weights_ = writer.bytes();
}

absl::Status BestWeights::Restore() {
  if (weights_.empty() || version_ != parameters_.version()) return absl::OkStatus();
  ByteReader reader(weights_);
  return TakeWeights(reader, parameters_);
}

void BestWeights::Save(ByteWriter& writer) const {
  writer.Put(objective_);
  writer.Put(step_);
  writer.Put(fruitless_);
  writer.PutText(weights_);
  writer.Put(static_cast<uint8_t>(version_ == parameters_.version()));
}

void BestWeights::Load(ByteReader& reader) {
  objective_ = reader.Take<double>();
  step_ = reader.Take<int64_t>();
  fruitless_ = reader.Take<int32_t>();
  weights_ = std::string(reader.TakeText());
  version_ = reader.Take<uint8_t>() != 0 ? parameters_.version() : -1;
}

}  // namespace trainyard::nn
