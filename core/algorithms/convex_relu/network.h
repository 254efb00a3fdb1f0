// Two-layer networks with one output per neuron: what convex solutions stand for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {

// z_o(x) = output_bias_o + sum over neurons i of output o of output_weights_i * h_i(x), where h_i
// is max(w_i x + b_i, 0), or with gates (w_i x + b_i) * 1[g_i x + a_i > 0]. Rows x are raw: not
// divided by column norms, without a column of ones. Matrices are row-major.
struct TwoLayerNetwork {
  int inputs = 0;   // d
  int outputs = 1;  // c
  bool gated = false;
  std::vector<double> hidden_weights;   // w: [m][d]
  std::vector<double> hidden_bias;      // b: [m]
  std::vector<double> gates;            // g: [m][d]; empty without gates
  std::vector<double> gate_bias;        // a: [m]; empty without gates
  std::vector<int32_t> neuron_outputs;  // [m], ascending
  std::vector<double> output_weights;   // [m]
  std::vector<double> output_bias;      // [c]

  int64_t neurons() const { return static_cast<int64_t>(output_weights.size()); }  // m

  friend bool operator==(const TwoLayerNetwork&, const TwoLayerNetwork&) = default;
};

// Sizes fit together, all numbers are finite, neurons are in the order of valid outputs; else
// DATA_LOSS.
absl::Status CheckNetwork(const TwoLayerNetwork& network);

// One block of weights of a convex solution, in the scaled space.
struct SolutionBlock {
  int output = 0;
  // Negative for the blocks w_i that are subtracted (C-ReLU), else positive.
  double sign = 1;
  // u: one number per column of the scaled data.
  std::span<const double> weights;
  // The pattern's gate vector; read for gated networks only.
  std::span<const double> gate;
};

// How the solver's data and targets came from raw rows.
struct SolutionSpace {
  // What each column was divided by; 0 for a column of zeros, which then has no part in the
  // network.
  std::span<const double> column_norms;
  // Whether the last column was one of ones (before the division): the bias.
  bool has_bias = false;
  // Raw output = offset + scale * solver's output, one per output. Empty: 0 and 1. Scales are > 0.
  std::span<const double> output_offset;
  std::span<const double> output_scale;
};

// The network that predicts on raw rows what the blocks predict on the solver's. A block u becomes
// a neuron with the weights u / sqrt||u|| and the output weight sign * sqrt||u|| in the scaled
// space, so that (|w|^2 + |output weight|^2) / 2 = ||u|| there; both are then changed to raw units,
// gates too (g / norm). Blocks whose norm in the scaled space is <= `zero_norm` have no neuron.
// Neurons are in the order of outputs, then of blocks. INVALID_ARGUMENT when lengths differ, an
// output is out of range, or a number is not finite.
absl::StatusOr<TwoLayerNetwork> NetworkFromBlocks(std::span<const SolutionBlock> blocks,
                                                  const SolutionSpace& space, int outputs,
                                                  bool gated, double zero_norm = 0);

// Rows of one task of Forward.
inline constexpr int64_t kForwardRows = 128;

// Raw outputs of `rows` rows of `network.inputs` numbers, `stride` apart, into `outputs`, [row][c].
// Bits do not depend on the number of threads.
void Forward(const TwoLayerNetwork& network, const double* features, int64_t rows, int64_t stride,
             double* outputs, ThreadPool& pool);

}  // namespace trainyard::convex_relu
