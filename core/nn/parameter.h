// What a model learns.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/nn/variable.h"
#include "core/tensor/tensor.h"

namespace trainyard::nn {

// How a parameter begins. Values depend on the set's seed and the parameter's name alone, not on
// the order in which parameters are made.
struct Initializer {
  enum class Kind : uint8_t { kConstant, kNormal, kUniform };
  Kind kind = Kind::kConstant;
  double a = 0;  // the constant; the mean; the lower bound
  double b = 0;  // -; the standard deviation; the upper bound

  static Initializer Constant(double value) { return {Kind::kConstant, value, 0}; }
  static Initializer Normal(double deviation, double mean = 0) {
    return {Kind::kNormal, mean, deviation};
  }
  static Initializer Uniform(double bound) { return {Kind::kUniform, -bound, bound}; }
};

// A named leaf with what optimisers want to know of it.
class Parameter {
 public:
  Parameter(std::string name, Tensor value, bool decays)
      : name_(std::move(name)), variable_(Variable::Leaf(std::move(value))), decays_(decays) {}

  const std::string& name() const { return name_; }
  const Variable& variable() const { return variable_; }
  operator const Variable&() const { return variable_; }  // NOLINT: parameters stand in formulas
  const Tensor& value() const { return variable_.value(); }
  Tensor grad() const { return variable_.grad(); }
  // Weight decay applies to matrices, not to biases, gains and the like.
  bool decays() const { return decays_; }
  // Factor of the learning rate.
  double rate_factor() const { return rate_factor_; }
  void set_rate_factor(double factor) { rate_factor_ = factor; }
  // Gradients are clipped by the norm of all parameters of one group; from 0.
  int clip_group() const { return clip_group_; }
  void set_clip_group(int group) { clip_group_ = group; }

 private:
  const std::string name_;
  const Variable variable_;
  const bool decays_;
  double rate_factor_ = 1;
  int clip_group_ = 0;
};

// The parameters of a model, in the order in which they were made. Names are unique; parts of a
// model are joined by dots: "layers.0.ffn.weight".
class ParameterSet {
 public:
  ParameterSet(Device& device, uint64_t seed, DType type = DType::kFloat32)
      : device_(device), seed_(seed), type_(type) {}
  ParameterSet(const ParameterSet&) = delete;
  ParameterSet& operator=(const ParameterSet&) = delete;

  Device& device() const { return device_; }
  DType dtype() const { return type_; }
  uint64_t seed() const { return seed_; }

  // The parameter lives as long as the set, or until Remove. Throws TensorError where the name is
  // taken.
  Parameter& Add(std::string_view name, const Shape& shape, const Initializer& initializer,
                 bool decays);
  // Null where there is none.
  Parameter* Find(std::string_view name) const;
  // Does nothing where there is none.
  void Remove(std::string_view name);
  // Grows with every parameter that is added or removed.
  int64_t version() const { return version_; }

  const std::vector<std::unique_ptr<Parameter>>& all() const { return parameters_; }
  // Number of values in all parameters.
  int64_t values() const;
  void ClearGradients() const;

 private:
  Device& device_;
  const uint64_t seed_;
  const DType type_;
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::map<std::string, Parameter*, std::less<>> by_name_;
  int64_t version_ = 0;
};

}  // namespace trainyard::nn
