#include "core/nn/parameter.h"

#include "core/tensor/kernels/random_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

// FNV-1a.
uint64_t StreamOf(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

Parameter& ParameterSet::Add(std::string_view name, const Shape& shape,
                             const Initializer& initializer, bool decays) {
  if (Find(name) != nullptr)
    ThrowInvalidTensor("parameter: the name ", std::string(name), " is taken");
  const Tensor value = Tensor::Empty(device_, shape, type_);
  const RandomStream stream{seed_, StreamOf(name)};
  switch (initializer.kind) {
    case Initializer::Kind::kConstant:
      value.Fill(initializer.a);
      break;
    case Initializer::Kind::kNormal:
      device_.random().Normal(stream, initializer.a, initializer.b, value);
      break;
    case Initializer::Kind::kUniform:
      device_.random().Uniform(stream, initializer.a, initializer.b, value);
      break;
  }
  parameters_.push_back(std::make_unique<Parameter>(std::string(name), value, decays));
  by_name_[parameters_.back()->name()] = parameters_.back().get();
  ++version_;
  return *parameters_.back();
}

Parameter* ParameterSet::Find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

void ParameterSet::Remove(std::string_view name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return;
  const Parameter* const parameter = found->second;
  by_name_.erase(found);
  std::erase_if(parameters_, [parameter](const auto& p) { return p.get() == parameter; });
  ++version_;
}

int64_t ParameterSet::values() const {
  int64_t sum = 0;
  for (const auto& parameter : parameters_) sum += parameter->value().elements();
  return sum;
}

void ParameterSet::ClearGradients() const {
  for (const auto& parameter : parameters_) parameter->variable().ClearGradient();
}

}  // namespace trainyard::nn
