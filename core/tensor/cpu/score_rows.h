// What attention does to rows of scores, vectorised by hand: compilers keep the order of sums and
// branch at maxima. Float comes for AVX2 and for AVX-512, chosen at run time; double is plain code,
// for checks.
#pragma once

#include <cstdint>

namespace trainyard {

// Softmax. Scores are in base 2: the product that makes them multiplies by log2(e) as well.

// max(scores); minus infinity for n = 0.
float MaximumOfRow(const float* scores, int64_t n);
double MaximumOfRow(const double* scores, int64_t n);

// scores[j] = 2^(scores[j] - shift), with 2^-infinity = 0 and a relative error below 2^-22; returns
// their sum, in an order that depends on n alone.
float ExponentiateRow(float* scores, int64_t n, float shift);
double ExponentiateRow(double* scores, int64_t n, double shift);

// weights[j] = 2^(weights[j] - shift), then
// gradients[j] = scale * weights[j] * (gradients[j] - mean).
struct SoftmaxRowGradient {
  double shift = 0;
  double mean = 0;
  double scale = 1;
};
void DifferentiateRow(float* weights, float* gradients, int64_t n,
                      const SoftmaxRowGradient& gradient);
void DifferentiateRow(double* weights, double* gradients, int64_t n,
                      const SoftmaxRowGradient& gradient);

// Squared rectifier.

// scores[j] = max(scores[j] + bias[j], 0)^2; a null bias is 0.
void SquareRectifiedRow(float* scores, const float* bias, int64_t n);
void SquareRectifiedRow(double* scores, const double* bias, int64_t n);

// With p = max(scores[j] + bias[j], 0): gradients[j] *= factor * p, scores[j] = p^2.
void DifferentiateSquareRow(float* scores, float* gradients, const float* bias, int64_t n,
                            float factor);
void DifferentiateSquareRow(double* scores, double* gradients, const double* bias, int64_t n,
                            double factor);

}  // namespace trainyard
