#include "core/tensor/cpu/score_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/tensor/cpu/score_row_functions.h"

namespace trainyard {
namespace {

const ScoreRowFunctions& Best() {
  static const ScoreRowFunctions best =
      __builtin_cpu_supports("avx512f") ? Avx512ScoreRows() : Avx2ScoreRows();
  return best;
}

}  // namespace

float MaximumOfRow(const float* scores, int64_t n) { return Best().maximum(scores, n); }

double MaximumOfRow(const double* scores, int64_t n) {
  double maximum = -std::numeric_limits<double>::infinity();
  for (int64_t j = 0; j < n; ++j) maximum = std::max(maximum, scores[j]);
  return maximum;
}

float ExponentiateRow(float* scores, int64_t n, float shift) {
  return Best().exponentiate(scores, n, shift);
}

double ExponentiateRow(double* scores, int64_t n, double shift) {
  double sum = 0;
  for (int64_t j = 0; j < n; ++j) {
    scores[j] = std::exp2(scores[j] - shift);
    sum += scores[j];
  }
  return sum;
}

void DifferentiateRow(float* weights, float* gradients, int64_t n,
                      const SoftmaxRowGradient& gradient) {
  Best().differentiate(weights, gradients, n, static_cast<float>(gradient.shift),
                       static_cast<float>(gradient.mean), static_cast<float>(gradient.scale));
}

void DifferentiateRow(double* weights, double* gradients, int64_t n,
                      const SoftmaxRowGradient& gradient) {
  for (int64_t j = 0; j < n; ++j) {
    weights[j] = std::exp2(weights[j] - gradient.shift);
    gradients[j] = gradient.scale * weights[j] * (gradients[j] - gradient.mean);
  }
}

void SquareRectifiedRow(float* scores, const float* bias, int64_t n) {
  Best().square_rectified(scores, bias, n);
}

void SquareRectifiedRow(double* scores, const double* bias, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    const double p = std::max(scores[j] + (bias == nullptr ? 0 : bias[j]), 0.0);
    scores[j] = p * p;
  }
}

void DifferentiateSquareRow(float* scores, float* gradients, const float* bias, int64_t n,
                            float factor) {
  Best().differentiate_square(scores, gradients, bias, n, factor);
}

void DifferentiateSquareRow(double* scores, double* gradients, const double* bias, int64_t n,
                            double factor) {
  for (int64_t j = 0; j < n; ++j) {
    const double p = std::max(scores[j] + (bias == nullptr ? 0 : bias[j]), 0.0);
    gradients[j] *= factor * p;
    scores[j] = p * p;
  }
}

}  // namespace trainyard
