// Descent of a ReLU network's own, non-convex objective: neurons go from cone to cone.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/cone_projection.h"
#include "core/algorithms/convex_relu/row_loss.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {

// sign (X u)_+ of one output, with the penalty lambda ||u||.
struct Neuron {
  int output = 0;
  int sign = 1;
  std::vector<double> weights;    // u, one number for each column of the data; may be zeros
  std::vector<uint64_t> pattern;  // of a cone that has u, BitBlocks(rows) words
};

struct NeuronDescentOptions {
  double lambda = 0;
  int64_t max_sweeps = 200;
  // Ends where ten sweeps lower the objective by less than this share.
  double least_fall = 1e-3;
};

struct NeuronDescentEnd {
  double objective_before = 0;
  double objective = 0;  // never greater
  int64_t sweeps = 0;
  std::vector<double> slopes;  // phi' at the end, [output][row]
};

// Lowers phi(z) + lambda sum ||u_i||, z^o = sum over the neurons of output o of sign_i (X u_i)_+,
// by sweeps of proximal steps, neuron by neuron. A step ends in its neuron's cone. Where it touches
// rows of whose hyperplanes the other side is lower, the neuron's pattern becomes that of the cone
// beyond, which has the same point: the objective has kinks there, which the steps follow where
// they are minima. Neurons that are zero in the end are left out. Results do not depend on the
// number of threads; errors are those of `check`. A step costs about 6 n d operations and a
// projection.
absl::StatusOr<NeuronDescentEnd> DescendNeurons(const ConeRows& rows, const RowLoss& loss,
                                                const NeuronDescentOptions& options,
                                                std::vector<Neuron>& neurons, ThreadPool& pool,
                                                const std::function<absl::Status()>& check);

}  // namespace trainyard::convex_relu
