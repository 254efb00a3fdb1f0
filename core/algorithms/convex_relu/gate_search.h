// Activation patterns that a network's optimum over other patterns lacks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/bit_matrix.h"
#include "core/algorithms/convex_relu/cone_projection.h"
#include "core/algorithms/convex_relu/gate_ascent.h"

namespace trainyard::convex_relu {

struct GateSearchOptions {
  AscentKind kind = AscentKind::kRelu;
  double lambda = 0;
  // A gate violates its dual constraint where its norm is above lambda (1 + this).
  double least_excess = 1e-4;
  int64_t most = 100;    // gates to find
  int64_t starts = 100;  // searches of each output, beside those of the neurons
  int iterations = 40;   // values of a search's climb in products of matrices
  uint64_t seed = 0;
};

// Where a search may begin, beside what it draws itself.
struct GateStart {
  int output = 0;
  int sign = 1;
  std::span<const double> gate;  // d numbers, not all zero
};

struct FoundGate {
  int output = 0;
  int sign = 1;
  double norm = 0;  // of its pattern: see ReluCertifier; for gated networks ||X^T D_g theta||
  std::vector<double> gate;       // d numbers, norm 1
  std::vector<uint64_t> pattern;  // BitBlocks(rows) words
};

struct FoundGates {
  // The greatest norm that was come across, known patterns included: all others may be greater.
  double largest_norm = 0;
  std::vector<FoundGate> violators;  // the greatest norm first; patterns differ and are not known
};

// Looks for patterns, of all there are, whose dual constraint theta = `slopes` ([output][row])
// violates: a neuron u of a ReLU network with |theta^T (X u)_+| > lambda ||u||, a gate g with
// ||X^T D_g theta|| > lambda. Searches begin at `neurons` and at
// the best of `gates`, the rows and Gaussian vectors; they climb together (GateAscent), and the
// best climb on alone to a local maximum (CellAscent, CircleSearch). A heuristic: what it does not
// find may be there. Depends on the seed, not on the number of threads. Errors are those of
// `check`, which several threads ask. Costs about 4 n d (iterations + 10) operations for each
// search.
absl::StatusOr<FoundGates> SearchGates(const ConeRows& rows, const BitMatrix& known,
                                       const PaddedMatrix<double>& gates,
                                       std::span<const GateStart> neurons,
                                       std::span<const double> slopes,
                                       const GateSearchOptions& options, ThreadPool& pool,
                                       const WorkCheck& check);

}  // namespace trainyard::convex_relu
