// Stochastic gradient descent with momentum, and Adam.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "core/algorithms/convex_relu/nonconvex_network.h"

namespace trainyard::convex_relu {

enum class OptimizerKind { kSgd, kAdam };

// kSgd: m <- momentum m + g, weights <- weights - step m (Polyak).
// kAdam: Kingma and Ba 2015, algorithm 1, with bias corrections.
struct OptimizerSettings {
  OptimizerKind kind = OptimizerKind::kSgd;
  double momentum = 0;             // kSgd, in [0, 1)
  double first_decay = 0.9;        // kAdam, in [0, 1)
  double second_decay = 0.999;     // kAdam, in [0, 1)
  double denominator_term = 1e-8;  // kAdam, epsilon, > 0
};

// Keeps the moments of one run at a time. Not thread-safe.
class NetworkOptimizer {
 public:
  // Takes memory for networks of this shape; `adam`: whether any run will use that kind.
  absl::Status Allocate(int64_t neurons, int features, int outputs, bool adam,
                        const WorkCheck& check);

  // Begins a run.
  absl::Status Reset(const OptimizerSettings& settings, const WorkCheck& check);

  // One step along `gradient`, the loss's; the derivative penalty * weights of
  // penalty/2 ||weights||^2 is added to it. `check` is called every millisecond or so.
  absl::Status Step(double step, double penalty, const NetworkWeights<float>& gradient,
                    NetworkWeights<float>& weights, const WorkCheck& check);

 private:
  OptimizerSettings settings_;
  int64_t steps_ = 0;
  NetworkWeights<float> first_moment_;
  NetworkWeights<float> second_moment_;
};

}  // namespace trainyard::convex_relu
