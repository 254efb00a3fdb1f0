// Random networks and their data.
#pragma once

#include <cstdint>
#include <vector>

#include "core/algorithms/convex_relu/nonconvex_network.h"
#include "core/algorithms/convex_relu/padded_matrix.h"
#include "core/base/random.h"
#include "tests/core/algorithms/convex_relu/solved_problem.h"

namespace trainyard::convex_relu {

template <typename Real>
void FillGaussian(PaddedMatrix<Real>& matrix, double scale, Rng& random) {
  for (int64_t row = 0; row < matrix.rows(); ++row) {
    for (int column = 0; column < matrix.columns(); ++column) {
      matrix.row(row)[column] = static_cast<Real>(scale * random.NextGaussian());
    }
  }
}

// Data, gates and what owns them.
struct NetworkCase {
  PaddedMatrix<float> features;
  PaddedMatrix<float> gates;
  std::vector<float> targets;
  std::vector<float> row_weights;
  NetworkData data;
};

inline std::vector<float> RandomTargets(NetworkLoss loss, int64_t rows, int outputs, Rng& random) {
  std::vector<float> targets(static_cast<size_t>(rows * outputs), 0.0F);
  for (int64_t row = 0; row < rows; ++row) {
    const int chosen = static_cast<int>(random.UniformInt(static_cast<uint64_t>(outputs)));
    for (int output = 0; output < outputs; ++output) {
      float& target = targets[static_cast<size_t>(output * rows + row)];
      if (loss == NetworkLoss::kSquared) target = static_cast<float>(random.NextGaussian());
      if (loss == NetworkLoss::kLogistic) target = random.NextDouble() < 0.5 ? -1.0F : 1.0F;
      if (loss == NetworkLoss::kSoftmax) target = output == chosen ? 1.0F : 0.0F;
    }
  }
  return targets;
}

inline NetworkCase RandomCase(NetworkLoss loss, int64_t rows, int features, int outputs,
                              int64_t gates, bool weighted, uint64_t seed) {
  Rng random(seed);
  NetworkCase result{.features = PaddedMatrix<float>(rows, features),
                     .gates = PaddedMatrix<float>(gates, features)};
  FillGaussian(result.features, 1, random);
  FillGaussian(result.gates, 1, random);
  result.targets = RandomTargets(loss, rows, outputs, random);
  if (weighted) {
    // Pairs that add up to 2, so that the mean is 1.
    for (int64_t row = 0; row + 1 < rows; row += 2) {
      const auto weight = static_cast<float>(2 * random.NextDouble());
      result.row_weights.insert(result.row_weights.end(), {weight, 2 - weight});
    }
    if (rows % 2 == 1) result.row_weights.push_back(1);
  }
  result.data = {.outputs = outputs, .loss = loss};
  return result;
}

// The views of a case that stays where it is.
inline NetworkData DataOf(const NetworkCase& owner) {
  NetworkData data = owner.data;
  data.features = &owner.features;
  data.targets = owner.targets;
  data.row_weights = owner.row_weights;
  return data;
}

inline NetworkCase CaseOf(const SolvedProblem& problem) {
  NetworkCase result{.features = PaddedMatrix<float>(problem.rows, problem.features),
                     .gates = PaddedMatrix<float>(problem.patterns, problem.features)};
  const auto features = static_cast<size_t>(problem.features);
  for (size_t i = 0; i < problem.x.size(); ++i) {
    result.features.row(static_cast<int64_t>(i / features))[i % features] =
        static_cast<float>(problem.x[i]);
  }
  for (size_t i = 0; i < problem.gates.size(); ++i) {
    result.gates.row(static_cast<int64_t>(i / features))[i % features] =
        static_cast<float>(problem.gates[i]);
  }
  const auto outputs = static_cast<size_t>(problem.outputs);
  for (size_t output = 0; output < outputs; ++output) {
    for (size_t i = output; i < problem.y.size(); i += outputs) {
      result.targets.push_back(static_cast<float>(problem.y[i]));
    }
  }
  result.data = {.outputs = problem.outputs,
                 .loss = problem.loss == "squared"    ? NetworkLoss::kSquared
                         : problem.loss == "logistic" ? NetworkLoss::kLogistic
                                                      : NetworkLoss::kSoftmax};
  return result;
}

}  // namespace trainyard::convex_relu
