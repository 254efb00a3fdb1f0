#include "core/nn/optim/optimizer.h"

#include <utility>

#include "core/base/status.h"
#include "core/nn/state/tensor_bytes.h"
#include "core/tensor/kernels/optimizer_kernels.h"

namespace trainyard::nn {

using Kind = OptimizerOptions::Kind;

Optimizer::Optimizer(const ParameterSet& parameters, const OptimizerOptions& options)
    : parameters_(parameters), options_(options) {}

bool Optimizer::has_first() const { return options_.kind != Kind::kSgd || options_.momentum != 0; }

bool Optimizer::has_second() const {
  return options_.kind == Kind::kAdam || options_.kind == Kind::kAdamW;
}

Optimizer::State Optimizer::MakeState(const Parameter& parameter) const {
  const Tensor& value = parameter.value();
  const auto zeros = [&](bool wanted) {
    return wanted ? Tensor::Zeros(value.device(), value.shape(), value.dtype()) : Tensor();
  };
  return {zeros(has_first()), zeros(has_second()), 0};
}

// A parameter that was removed, and another of its name, do not share a state.
void Optimizer::ForgetRemoved() {
  if (version_ == parameters_.version()) return;
  version_ = parameters_.version();
  std::erase_if(states_, [this](const auto& entry) {
    const Parameter* const parameter = parameters_.Find(entry.first);
    if (parameter == nullptr) return true;
    const Tensor& first = entry.second.first;
    return first.defined() && first.shape() != parameter->value().shape();
  });
}

namespace {

// Parameters that one call of a kernel treats alike.
struct Batch {
  int group = 0;
  int64_t step = 1;
  std::vector<OptimizerSlot> slots;
};

Batch& BatchFor(std::vector<Batch>& batches, int group, int64_t step) {
  for (Batch& batch : batches) {
    if (batch.group == group && batch.step == step) return batch;
  }
  batches.push_back({group, step, {}});
  return batches.back();
}

void Apply(const OptimizerOptions& options, double rate, const Batch& batch, const Tensor& scale,
           OptimizerKernels& kernels) {
  switch (options.kind) {
    case Kind::kSgd:
      kernels.Sgd(batch.slots, {rate, options.momentum, options.nesterov}, scale);
      break;
    case Kind::kAdam:
    case Kind::kAdamW:
      kernels.Adam(batch.slots,
                   {rate, options.beta1, options.beta2, options.epsilon, batch.step,
                    options.kind == Kind::kAdamW},
                   scale);
      break;
    case Kind::kLion:
      kernels.Lion(batch.slots, {rate, options.beta1, options.beta2}, scale);
      break;
  }
}

}  // namespace

void Optimizer::Step(double rate, std::span<const Tensor> scales) {
  ForgetRemoved();
  std::vector<Batch> batches;
  for (const auto& parameter : parameters_.all()) {
    const Tensor gradient = parameter->grad();
    if (!gradient.defined()) continue;
    auto found = states_.find(parameter->name());
    if (found == states_.end()) {
      found = states_.emplace(parameter->name(), MakeState(*parameter)).first;
    }
    State& state = found->second;
    const double decay = parameter->decays() ? options_.weight_decay : 0;
    BatchFor(batches, parameter->clip_group(), ++state.steps)
        .slots.push_back({parameter->value(), gradient, state.first, state.second,
                          parameter->rate_factor(), decay});
  }
  for (const Batch& batch : batches) {
    const auto group = static_cast<size_t>(batch.group);
    Apply(options_, rate, batch, group < scales.size() ? scales[group] : Tensor(),
          parameters_.device().optimizer());
  }
}

void Optimizer::Save(ByteWriter& writer) const {
  writer.Put(static_cast<uint64_t>(states_.size()));
  for (const auto& [name, state] : states_) {
    writer.PutText(name);
    writer.Put(state.steps);
    PutTensor(writer, state.first);
    PutTensor(writer, state.second);
  }
}

absl::Status Optimizer::Load(ByteReader& reader) {
  states_.clear();
  version_ = -1;
  const auto count = reader.Take<uint64_t>();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    const std::string name(reader.TakeText());
    const Parameter* const parameter = parameters_.Find(name);
    if (parameter == nullptr) {
      return absl::DataLossError(
          absl::StrCat("optimiser: its state names ", name, ", which is no parameter"));
    }
    State state = MakeState(*parameter);
    state.steps = reader.Take<int64_t>();
    TY_RETURN_IF_ERROR(TakeTensorInto(reader, name, state.first));
    TY_RETURN_IF_ERROR(TakeTensorInto(reader, name, state.second));
    states_.emplace(name, std::move(state));
  }
  return reader.ok() ? absl::OkStatus() : absl::DataLossError("optimiser: its state is cut off");
}

}  // namespace trainyard::nn
