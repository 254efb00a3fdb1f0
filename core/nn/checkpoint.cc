#include "core/nn/checkpoint.h"

#include "core/nn/recorder.h"

namespace trainyard::nn {
namespace {

// Takes a random source back to an earlier state while it lives.
class RandomRewind {
 public:
  RandomRewind(RandomSource* random, uint64_t stream) : random_(random) {
    if (random_ == nullptr) return;
    present_ = random_->next_stream();
    random_->set_next_stream(stream);
  }
  ~RandomRewind() {
    if (random_ != nullptr) random_->set_next_stream(present_);
  }
  RandomRewind(const RandomRewind&) = delete;
  RandomRewind& operator=(const RandomRewind&) = delete;

 private:
  RandomSource* const random_;
  uint64_t present_ = 0;
};

struct Recomputation {
  CheckpointedFunction function;
  std::vector<Tensor> inputs;
  RandomSource* random = nullptr;
  uint64_t first_stream = 0;

  void Backward(BackwardContext& context) const {
    std::vector<Variable> again;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const bool needed = context.needs(static_cast<int>(i));
      again.push_back(needed ? Variable::Leaf(inputs[i]) : Variable(inputs[i]));
    }
    const GradScope recorded;
    Variable result;
    {
      const RandomRewind rewind(random, first_stream);
      result = function(again);
    }
    if (!result.requires_grad()) return;
    nn::Backward(result, context.output_gradient());
    for (size_t i = 0; i < again.size(); ++i) {
      if (!again[i].requires_grad()) continue;
      const Tensor gradient = again[i].grad();
      if (gradient.defined()) context.Add(static_cast<int>(i), gradient);
    }
  }
};

}  // namespace

Variable Checkpoint(const CheckpointedFunction& function, std::span<const Variable> inputs,
                    RandomSource* random) {
  if (!GradientsEnabled()) return function(inputs);
  Recomputation recomputation{function, {}, random, random == nullptr ? 0 : random->next_stream()};
  std::vector<Variable> constants;
  for (const Variable& input : inputs) {
    constants.push_back(input.Detached());
    recomputation.inputs.push_back(input.value());
  }
  Tensor value;
  {
    const NoGradScope no_grad;
    value = function(constants).value();
  }
  Recorder recorder = Recorder::OfLeavesInside("checkpoint", inputs, value.device(), value.dtype());
  return recorder.Record(value, [recomputation = std::move(recomputation)](
                                    BackwardContext& context) { recomputation.Backward(context); });
}

}  // namespace trainyard::nn
