// The best evaluation of a training, and when to stop for want of a better one.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "core/base/byte_stream.h"
#include "core/nn/parameter.h"
#include "core/nn/training/training_options.h"

namespace trainyard::nn {

// Keeps the weights of the best evaluation, in the host's memory, where the rule wants them. When
// the set gets other parameters, evaluations from before no longer count.
class BestWeights {
 public:
  BestWeights(const ParameterSet& parameters, const EarlyStopping& rule)
      : parameters_(parameters), rule_(rule), version_(parameters.version()) {}

  // An evaluation of the present weights.
  void Offer(int64_t step, double objective);
  // Whether too many evaluations went by without a better one.
  bool exhausted() const { return rule_.patience > 0 && fruitless_ >= rule_.patience; }
  // Gives the parameters their best values where the rule says so; does nothing without an
  // evaluation.
  absl::Status Restore();

  // Infinite before the first evaluation.
  double objective() const { return objective_; }
  int64_t step() const { return step_; }

  void Save(ByteWriter& writer) const;
  void Load(ByteReader& reader);

 private:
  const ParameterSet& parameters_;
  const EarlyStopping rule_;
  int64_t version_;  // of the set at the newest evaluation
  double objective_ = std::numeric_limits<double>::infinity();
  int64_t step_ = -1;
  int32_t fruitless_ = 0;
  std::string weights_;
};

}  // namespace trainyard::nn
