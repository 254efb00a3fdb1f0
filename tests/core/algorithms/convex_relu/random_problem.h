// Small gated problems with random data.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/algorithms/convex_relu/row_loss.h"
#include "core/base/random.h"
#include "tests/core/algorithms/convex_relu/dense_operator.h"

namespace trainyard::convex_relu {

// Columns of unit norm, the last one constant; Gaussian gates without repeated or empty patterns.
struct RandomProblem {
  RandomProblem(uint64_t seed, int64_t rows, int columns, int64_t patterns, int outputs,
                LossKind loss, bool weighted = false)
      : data(rows, columns) {
    Rng rng(seed);
    for (int k = 0; k < columns; ++k) {
      double squares = 0;
      for (int64_t j = 0; j < rows; ++j) {
        data.row(j)[k] = k + 1 == columns ? 1 : rng.NextGaussian();
        squares += data.row(j)[k] * data.row(j)[k];
      }
      for (int64_t j = 0; j < rows; ++j) data.row(j)[k] /= std::sqrt(squares);
    }
    DrawPatterns(rng, patterns);
    targets.loss = loss;
    targets.rows = rows;
    targets.outputs = outputs;
    DrawTargets(rng);
    if (weighted) DrawWeights(rng);
  }

  template <typename Real>
  DenseOperator<Real> Products() const {
    return {data, masks};
  }

  PaddedMatrix<double> data;
  std::vector<std::vector<bool>> masks;
  Targets targets;

 private:
  void DrawPatterns(Rng& rng, int64_t count) {
    for (int tries = 0; static_cast<int64_t>(masks.size()) < count && tries < 10000; ++tries) {
      std::vector<double> gate;
      for (int k = 0; k < data.columns(); ++k) gate.push_back(rng.NextGaussian());
      std::vector<bool> mask;
      bool any = false;
      for (int64_t j = 0; j < data.rows(); ++j) {
        double sum = 0;
        for (int k = 0; k < data.columns(); ++k) sum += data.row(j)[k] * gate[size_t(k)];
        mask.push_back(sum > 0);
        any = any || sum > 0;
      }
      if (any && std::find(masks.begin(), masks.end(), mask) == masks.end()) masks.push_back(mask);
    }
  }

  void DrawTargets(Rng& rng) {
    const size_t rows = static_cast<size_t>(targets.rows);
    targets.values.assign(rows * static_cast<size_t>(targets.outputs), 0.0);
    for (size_t j = 0; j < rows; ++j) {
      const size_t chosen = rng.UniformInt(static_cast<uint64_t>(targets.outputs));
      for (size_t o = 0; o < static_cast<size_t>(targets.outputs); ++o) {
        double& value = targets.values[o * rows + j];
        if (targets.loss == LossKind::kSquared) {
          value = rng.NextGaussian() + std::abs(data.row(static_cast<int64_t>(j))[0]) * 10;
        } else if (targets.loss == LossKind::kLogistic) {
          value = rng.NextDouble() < 0.5 ? -1 : 1;
        } else {
          value = o == chosen ? 1 : 0;
        }
      }
    }
  }

  void DrawWeights(Rng& rng) {
    double sum = 0;
    for (int64_t j = 0; j < targets.rows; ++j) {
      targets.weights.push_back(0.2 + rng.NextDouble());
      sum += targets.weights.back();
    }
    for (double& weight : targets.weights) weight *= static_cast<double>(targets.rows) / sum;
  }
};

}  // namespace trainyard::convex_relu
