#include "core/nn/optim/moving_average.h"

#include <algorithm>
#include <vector>

#include "core/base/status.h"
#include "core/nn/state/tensor_bytes.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/kernels/optimizer_kernels.h"

namespace trainyard::nn {

MovingAverage::MovingAverage(const ParameterSet& parameters, double decay)
    : parameters_(parameters), decay_(decay) {
  Follow();
}

void MovingAverage::Follow() {
  if (version_ == parameters_.version()) return;
  version_ = parameters_.version();
  std::erase_if(averages_, [this](const auto& entry) {
    const Parameter* const parameter = parameters_.Find(entry.first);
    return parameter == nullptr || parameter->value().shape() != entry.second.shape();
  });
  int64_t largest = 0;
  for (const auto& parameter : parameters_.all()) {
    largest = std::max(largest, parameter->value().elements());
    if (averages_.contains(parameter->name())) continue;
    averages_.emplace(parameter->name(), parameter->value().Clone());
  }
  scratch_ = Tensor::Empty(parameters_.device(), {largest}, parameters_.dtype());
}

void MovingAverage::Update() {
  Follow();
  ++updates_;
  const auto n = static_cast<double>(updates_);
  std::vector<Tensor> values;
  std::vector<Tensor> averages;
  for (const auto& parameter : parameters_.all()) {
    values.push_back(parameter->value());
    averages.push_back(averages_.find(parameter->name())->second);
  }
  parameters_.device().optimizer().MovingAverage(values, averages,
                                                 std::min(decay_, (1 + n) / (10 + n)));
}

void MovingAverage::Swap() {
  Follow();
  for (const auto& parameter : parameters_.all()) {
    const Tensor& average = averages_.find(parameter->name())->second;
    const Tensor kept = scratch_.Slice(0, 0, average.elements()).View(average.shape());
    kept.CopyFrom(parameter->value());
    parameter->value().CopyFrom(average);
    average.CopyFrom(kept);
  }
}

void MovingAverage::Save(ByteWriter& writer) const {
  writer.Put(updates_);
  writer.Put(static_cast<uint64_t>(averages_.size()));
  for (const auto& [name, average] : averages_) {
    writer.PutText(name);
    PutTensor(writer, average);
  }
}

absl::Status MovingAverage::Load(ByteReader& reader) {
  Follow();
  updates_ = reader.Take<int64_t>();
  const auto count = reader.Take<uint64_t>();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    const std::string name(reader.TakeText());
    const auto found = averages_.find(name);
    if (found == averages_.end()) {
      return absl::DataLossError(absl::StrCat("moving average: no parameter is called ", name));
    }
    TY_RETURN_IF_ERROR(TakeTensorInto(reader, name, found->second));
  }
  return reader.ok() ? absl::OkStatus()
                     : absl::DataLossError("moving average: its state is cut off");
}

}  // namespace trainyard::nn
