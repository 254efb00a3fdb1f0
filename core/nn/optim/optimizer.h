// Optimisers.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/byte_stream.h"
#include "core/nn/parameter.h"
#include "core/tensor/tensor.h"

namespace trainyard::nn {

struct OptimizerOptions {
  enum class Kind : uint8_t {
    kSgd,    // with momentum, of Nesterov where told
    kAdam,   // Kingma and Ba, 2015; weight decay is added to the gradient
    kAdamW,  // Loshchilov and Hutter, 2019; decoupled weight decay
    kLion,   // Chen et al., 2023; decoupled weight decay
  };
  Kind kind = Kind::kAdamW;
  double momentum = 0;  // SGD
  bool nesterov = false;
  double beta1 = 0.9;  // Adam and Lion
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;  // of parameters that decay
};

// Changes the parameters of a set by their gradients. Its state of a parameter (moments, number of
// steps) begins when it first sees the parameter's gradient and goes with the parameter; those
// without a gradient stay as they are.
class Optimizer {
 public:
  // The set outlives the optimiser.
  Optimizer(const ParameterSet& parameters, const OptimizerOptions& options);

  // One step at learning rate `rate`. `scales` [clip group]: factors of the gradients ([1],
  // float64, on the device); empty: none. A factor that is 0 or not finite leaves its group as it
  // was, its number of steps excepted.
  void Step(double rate, std::span<const Tensor> scales = {});

  // Everything that later steps depend on.
  void Save(ByteWriter& writer) const;
  // DATA_LOSS where the state does not fit the parameters.
  absl::Status Load(ByteReader& reader);

 private:
  struct State {
    Tensor first;
    Tensor second;
    int64_t steps = 0;
  };

  State MakeState(const Parameter& parameter) const;
  void ForgetRemoved();
  bool has_first() const;
  bool has_second() const;

  const ParameterSet& parameters_;
  const OptimizerOptions options_;
  std::map<std::string, State, std::less<>> states_;
  int64_t version_ = -1;  // of the set when `states_` was last compared with it
};

}  // namespace trainyard::nn
