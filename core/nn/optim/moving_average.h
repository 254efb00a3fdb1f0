// Exponential moving averages of weights.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "core/base/byte_stream.h"
#include "core/nn/parameter.h"
#include "core/tensor/tensor.h"

namespace trainyard::nn {

// average = d * average + (1 - d) * value after every step, with d = min(decay, (1 + n) / (10 + n))
// at step n from 1, so that the start is forgotten soon. Parameters that come later begin with
// their value.
class MovingAverage {
 public:
  // `decay` in [0, 1). The set outlives the average.
  MovingAverage(const ParameterSet& parameters, double decay);

  void Update();
  // Exchanges averages and values; a second call puts them back. Needs no memory where the
  // parameters are those of the last Update or Swap.
  void Swap();

  void Save(ByteWriter& writer) const;
  // DATA_LOSS where the state does not fit the parameters.
  absl::Status Load(ByteReader& reader);

 private:
  void Follow();

  const ParameterSet& parameters_;
  const double decay_;
  int64_t updates_ = 0;
  int64_t version_ = -1;  // of the set when `averages_` was last compared with it
  std::map<std::string, Tensor, std::less<>> averages_;
  Tensor scratch_;  // as large as the largest parameter
};

// While it lives, parameters have their averages as values.
class AveragedScope {
 public:
  // `average` may be null: then nothing happens.
  explicit AveragedScope(MovingAverage* average) : average_(average) {
    if (average_ != nullptr) average_->Swap();
  }
  ~AveragedScope() {
    if (average_ != nullptr) average_->Swap();
  }
  AveragedScope(const AveragedScope&) = delete;
  AveragedScope& operator=(const AveragedScope&) = delete;

 private:
  MovingAverage* const average_;
};

}  // namespace trainyard::nn
