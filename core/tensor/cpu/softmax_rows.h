// What softmax does to rows of scores, vectorised by hand: sums and maxima too.
//
// Scores are in base 2: the product that makes them multiplies by log2(e) as well. Float comes for
// AVX2 and for AVX-512, chosen at run time (relative error of a power of two below 2^-22); double
// is plain code, for checks.
#pragma once

#include <cstdint>

namespace trainyard {

// max(scores); minus infinity for n = 0.
float MaximumOfRow(const float* scores, int64_t n);
double MaximumOfRow(const double* scores, int64_t n);

// scores[j] = 2^(scores[j] - shift), with 2^-infinity = 0; returns their sum, in an order that
// depends on n alone.
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

}  // namespace trainyard
