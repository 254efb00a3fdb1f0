// A model as the training loop sees it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/byte_stream.h"
#include "core/nn/parameter.h"
#include "core/nn/random_source.h"
#include "core/nn/variable.h"

namespace trainyard::nn {

// What a loss is computed from. A step's batch is cut into micro-batches (and over the workers);
// everything here follows from the step and the samples, so a step that is repeated is the same.
struct MicroBatch {
  int64_t step = 0;                  // from 0
  std::span<const int64_t> samples;  // numbers of samples
  RandomSource* random = nullptr;    // for dropout and the like
};

// The loss of a micro-batch as a sum: a step minimises the sum of `loss` over its micro-batches
// divided by the sum of `weight`. With the sum over tokens and their number it is the mean over
// tokens, however they are spread; a mean over samples is their sum with their number.
struct SummedLoss {
  Variable loss;      // a scalar that depends on parameters
  double weight = 1;  // > 0
  // Named parts of the loss for the metrics, as sums too.
  std::vector<std::pair<std::string, double>> parts;
};

// What an evaluation says.
struct Evaluation {
  double objective = 0;                                 // the smaller, the better
  std::vector<std::pair<std::string, double>> metrics;  // reported as they are named
};

// All functions are called by the thread that runs the loop; they may throw TensorError.
class Trainable {
 public:
  virtual ~Trainable() = default;
  // The same object each time; what it holds may change between steps (BeforeStep).
  virtual ParameterSet& parameters() = 0;
  // Number of samples, at least 1.
  virtual int64_t samples() const = 0;
  // Records a computation. Called with gradients enabled.
  virtual SummedLoss Loss(const MicroBatch& batch) = 0;
  // Called without recording, with averaged weights where the training keeps an average. Calls
  // `check` often and passes its status up.
  virtual absl::StatusOr<Evaluation> Evaluate(const std::function<absl::Status()>& check) = 0;

  // Before each step; `fraction` of the training is done. Parameters may be exchanged here.
  virtual absl::Status BeforeStep(int64_t /*step*/, double /*fraction*/) {
    return absl::OkStatus();
  }
  // State beside the parameters. Load is called before the weights are loaded, so that it can make
  // the parameters that the state had.
  virtual void Save(ByteWriter& /*writer*/) const {}
  virtual void Load(ByteReader& /*reader*/) {}
};

}  // namespace trainyard::nn
