// Small problems with optima by an interior-point solver: tests/data/convex_relu, see its README.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace trainyard::convex_relu {

struct SolvedCase {
  double penalty = 0;  // lambda
  // The true optima lie between these values and value * (1 - gap).
  double gated_optimum = 0;
  double gated_gap = 0;
  double relu_optimum = 0;
  double relu_gap = 0;
};

struct SolvedProblem {
  std::string loss;  // squared, logistic, softmax
  int64_t rows = 0;
  int features = 0;
  int outputs = 0;
  int64_t patterns = 0;
  std::vector<double> x;      // [row][feature], exact in 32 bits as are the next two
  std::vector<double> y;      // [row][output]
  std::vector<double> gates;  // [pattern][feature]
  std::vector<SolvedCase> cases;
};

// tests/data/convex_relu/NAME.txt.
absl::StatusOr<SolvedProblem> ReadSolvedProblem(const std::string& name);

}  // namespace trainyard::convex_relu
