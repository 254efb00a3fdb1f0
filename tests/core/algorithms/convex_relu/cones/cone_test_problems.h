// Problems for the tests of cones, and the products of gated layers in their plainest form.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "core/algorithms/convex_relu/padded_matrix.h"
#include "core/algorithms/convex_relu/pattern_bits.h"
#include "core/algorithms/convex_relu/pattern_operator.h"

namespace trainyard::convex_relu {

// Data, targets and the patterns of random gates, one gate for each.
struct ConeTestProblem {
  PaddedMatrix<double> data;
  Eigen::VectorXd targets;
  PatternBits patterns;
  PaddedMatrix<double> gates;  // row i is the gate of pattern i
};

PaddedMatrix<double> ToPadded(const Eigen::MatrixXd& matrix);
Eigen::MatrixXd ToEigen(const PaddedMatrix<double>& matrix);

// Gaussian gates whose patterns differ and are not empty: at most `gates`.
void SampleGates(int gates, uint64_t seed, ConeTestProblem& problem);
// Gaussian data and targets.
ConeTestProblem RandomProblem(int rows, int features, int gates, uint64_t seed);
// A table of tests/data/hs with a column of ones, columns divided by their norms and targets of
// mean 0 and variance 1; of classes, the first one against the rest as +-1.
ConeTestProblem TableProblem(const std::string& name, bool classes, int gates, uint64_t seed);

// The dense n x d matrices D_i X in loops.
class PlainPatternOperator final : public PatternOperator<double> {
 public:
  PlainPatternOperator(const PaddedMatrix<double>& data, const PatternBits& patterns);

  int64_t rows() const override { return data_.rows(); }
  int features() const override { return data_.columns(); }
  int stride() const override { return data_.stride(); }
  int64_t patterns() const override { return static_cast<int64_t>(chosen_.size()); }
  void Forward(int outputs, const double* weights, double* predictions) override;
  void Adjoint(int outputs, const double* residuals, double* gradient) override;
  void AdjointNorms(int outputs, const double* residuals, double* norms) override;
  std::unique_ptr<PatternOperator<double>> Select(std::span<const int64_t> patterns) const override;

 private:
  const PaddedMatrix<double>& data_;
  const PatternBits& bits_;
  std::vector<int64_t> chosen_;
};

}  // namespace trainyard::convex_relu
