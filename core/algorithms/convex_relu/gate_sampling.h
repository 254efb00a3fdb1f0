// Gates: the vectors g whose half-spaces give activation patterns.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/padded_matrix.h"

namespace trainyard::convex_relu {

// A sequence of gates. Each gate has its own stream of random numbers, so that it depends on the
// seed and its index alone, and the gates of a shorter sequence begin a longer one. Immutable;
// thread-safe.
class GateSource {
 public:
  virtual ~GateSource() = default;
  virtual int64_t count() const = 0;
  // Writes the coordinates of gate `index`, one for each column of the data; zeros at first.
  virtual void Sample(int64_t index, std::span<double> gate) const = 0;
};

// What the samplers share. The bias column, where there is one, is the last of the data; gates are
// zero there unless the sampler says otherwise (see also GateOptions::active_proportion).
struct GateSampling {
  int features = 0;   // columns of the data without the bias column
  int64_t count = 0;  // m, gates to sample
  uint64_t seed = 0;
};

// INVALID_ARGUMENT unless the last column has one value other than zero.
absl::Status CheckBiasColumn(const PaddedMatrix<double>& data);

// The factories answer INVALID_ARGUMENT for sizes below 1 and what else they name.

// g ~ N(0, I).
absl::StatusOr<std::unique_ptr<GateSource>> GaussianGates(const GateSampling& sampling);

// Gaussian in the features of a subset, zero elsewhere: all subsets of 1 to `order` features by
// turns, each ceil(count / subsets) times; where there are more than `count` subsets, a random one
// for each gate. INVALID_ARGUMENT where `order` exceeds the features or there are more than 2^62
// subsets.
absl::StatusOr<std::unique_ptr<GateSource>> FeatureSparseGates(const GateSampling& sampling,
                                                               int order);

// Images as rows of height x width x channels features, the channel fastest.
struct ImageShape {
  int height = 0;
  int width = 0;
  int channels = 1;
};

// Gaussian in a window of kernel x kernel pixels, all channels, at a random place; zero elsewhere.
// INVALID_ARGUMENT where the window exceeds the image or the image is not the features.
absl::StatusOr<std::unique_ptr<GateSource>> ConvolutionalGates(const GateSampling& sampling,
                                                               const ImageShape& image, int kernel);

// The difference of two random rows. Where the data have a bias column, its coordinate puts the
// threshold midway between them. `data` must outlive the source. INVALID_ARGUMENT for fewer than
// two rows and by CheckBiasColumn.
absl::StatusOr<std::unique_ptr<GateSource>> DataGates(const GateSampling& sampling,
                                                      const PaddedMatrix<double>& data);

// Gates as given, one a row of as many columns as the data have.
std::unique_ptr<GateSource> GivenGates(PaddedMatrix<double> gates);

}  // namespace trainyard::convex_relu
