#include "core/nn/training/course.h"

#include <algorithm>

namespace trainyard::nn {

void Course::AddStepTime(double seconds_of_step) {
  const auto value = static_cast<float>(seconds_of_step);
  if (static_cast<int64_t>(step_seconds.size()) < kMostStepTimes) {
    step_seconds.push_back(value);
  } else {
    step_seconds[static_cast<size_t>(step % kMostStepTimes)] = value;
  }
}

double Course::MedianStepSeconds() const {
  if (step_seconds.empty()) return 0;
  std::vector<float> sorted = step_seconds;
  const auto middle = sorted.begin() + static_cast<int64_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  return *middle;
}

void Course::Save(ByteWriter& writer) const {
  writer.Put(step);
  writer.Put(weight);
  writer.Put(seconds);
  writer.Put(skipped);
  writer.Put(skipped_in_a_row);
  writer.Put(rollbacks);
  writer.Put(rate_factor);
  writer.Put(evaluated_step);
  writer.Put(evaluated_epoch);
  writer.Put(reported_loss);
  writer.Put(reported_weight);
  writer.Put(static_cast<uint64_t>(reported_parts.size()));
  for (const auto& [name, value] : reported_parts) {
    writer.PutText(name);
    writer.Put(value);
  }
  writer.PutList(step_seconds);
}

void Course::Load(ByteReader& reader) {
  step = reader.Take<int64_t>();
  weight = reader.Take<double>();
  seconds = reader.Take<double>();
  skipped = reader.Take<int64_t>();
  skipped_in_a_row = reader.Take<int64_t>();
  rollbacks = reader.Take<int32_t>();
  rate_factor = reader.Take<double>();
  evaluated_step = reader.Take<int64_t>();
  evaluated_epoch = reader.Take<int64_t>();
  reported_loss = reader.Take<double>();
  reported_weight = reader.Take<double>();
  const auto parts = reader.Take<uint64_t>();
  reported_parts.clear();
  for (uint64_t i = 0; i < parts && reader.ok(); ++i) {
    const std::string name(reader.TakeText());
    reported_parts.emplace_back(name, reader.Take<double>());
  }
  step_seconds = reader.TakeList<float>();
}

}  // namespace trainyard::nn
