#include "tests/core/algorithms/convex_relu/cones/cone_test_problems.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "core/data/table.h"
#include "tests/paths.h"

namespace trainyard::convex_relu {

PaddedMatrix<double> ToPadded(const Eigen::MatrixXd& matrix) {
  PaddedMatrix<double> padded(matrix.rows(), static_cast<int>(matrix.cols()));
  for (int j = 0; j < matrix.rows(); ++j) {
    for (int k = 0; k < matrix.cols(); ++k) padded.row(j)[k] = matrix(j, k);
  }
  return padded;
}

Eigen::MatrixXd ToEigen(const PaddedMatrix<double>& matrix) {
  Eigen::MatrixXd dense(matrix.rows(), matrix.columns());
  for (int j = 0; j < dense.rows(); ++j) {
    for (int k = 0; k < dense.cols(); ++k) dense(j, k) = matrix.row(j)[k];
  }
  return dense;
}

void SampleGates(int gates, uint64_t seed, ConeTestProblem& problem) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  const Eigen::MatrixXd x = ToEigen(problem.data);
  std::set<std::vector<bool>> seen;
  std::vector<Eigen::VectorXd> kept;
  std::vector<std::vector<bool>> patterns;
  for (int i = 0; i < gates; ++i) {
    const Eigen::VectorXd gate =
        Eigen::VectorXd::NullaryExpr(x.cols(), [&] { return normal(random); });
    const Eigen::VectorXd products = x * gate;
    std::vector<bool> pattern;
    for (int j = 0; j < x.rows(); ++j) pattern.push_back(products[j] > 0);
    if (std::count(pattern.begin(), pattern.end(), true) == 0) continue;
    if (!seen.insert(pattern).second) continue;
    kept.push_back(gate);
    patterns.push_back(pattern);
  }
  problem.patterns = PatternBits(static_cast<int64_t>(kept.size()), x.rows());
  Eigen::MatrixXd matrix(kept.size(), x.cols());
  for (size_t i = 0; i < kept.size(); ++i) {
    matrix.row(static_cast<int>(i)) = kept[i];
    for (int j = 0; j < x.rows(); ++j) {
      if (patterns[i][static_cast<size_t>(j)])
        problem.patterns.Activate(static_cast<int64_t>(i), j);
    }
  }
  problem.gates = ToPadded(matrix);
}

ConeTestProblem RandomProblem(int rows, int features, int gates, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  ConeTestProblem problem;
  problem.data =
      ToPadded(Eigen::MatrixXd::NullaryExpr(rows, features, [&] { return normal(random); }));
  problem.targets = Eigen::VectorXd::NullaryExpr(rows, [&] { return normal(random); });
  SampleGates(gates, seed + 1, problem);
  return problem;
}

ConeTestProblem TableProblem(const std::string& name, bool classes, int gates, uint64_t seed) {
  const auto table =
      ReadTable(std::filesystem::path(kTestData) / "hs" / (name + ".csv"), {}, {}, 1).value();
  const int columns = table->column_count();
  const int rows = static_cast<int>(table->row_count());
  Eigen::MatrixXd x = Eigen::MatrixXd::Ones(rows, columns);
  ConeTestProblem problem;
  problem.targets.resize(rows);
  for (int k = 0; k < columns; ++k) {
    const auto values = table->numbers(k);
    for (int j = 0; j < rows; ++j) {
      (k + 1 < columns ? x(j, k) : problem.targets[j]) = values[static_cast<size_t>(j)];
    }
  }
  for (int k = 0; k < columns; ++k) {
    if (x.col(k).norm() > 0) x.col(k).normalize();
  }
  if (classes) {
    const double first = problem.targets[0];
    problem.targets = (problem.targets.array() == first).select(Eigen::ArrayXd::Ones(rows), -1.0);
  } else {
    problem.targets.array() -= problem.targets.mean();
    problem.targets *= std::sqrt(rows) / problem.targets.norm();
  }
  problem.data = ToPadded(x);
  SampleGates(gates, seed, problem);
  return problem;
}

PlainPatternOperator::PlainPatternOperator(const PaddedMatrix<double>& data,
                                           const PatternBits& patterns)
    : data_(data), bits_(patterns) {
  for (int64_t i = 0; i < patterns.patterns(); ++i) chosen_.push_back(i);
}

void PlainPatternOperator::Forward(int outputs, const double* weights, double* predictions) {
  std::fill_n(predictions, outputs * rows(), 0.0);
  for (int o = 0; o < outputs; ++o) {
    for (int64_t i = 0; i < patterns(); ++i) {
      const double* u = weights + (o * patterns() + i) * stride();
      const Eigen::Map<const Eigen::VectorXd> block(u, features());
      if (block.isZero(0)) continue;
      for (int64_t j = 0; j < rows(); ++j) {
        if (!IsActive(bits_.pattern(chosen_[static_cast<size_t>(i)]), j)) continue;
        predictions[o * rows() + j] +=
            Eigen::Map<const Eigen::VectorXd>(data_.row(j), features()).dot(block);
      }
    }
  }
}

void PlainPatternOperator::Adjoint(int outputs, const double* residuals, double* gradient) {
  std::fill_n(gradient, outputs * patterns() * stride(), 0.0);
  for (int o = 0; o < outputs; ++o) {
    for (int64_t i = 0; i < patterns(); ++i) {
      Eigen::Map<Eigen::VectorXd> block(gradient + (o * patterns() + i) * stride(), features());
      for (int64_t j = 0; j < rows(); ++j) {
        if (!IsActive(bits_.pattern(chosen_[static_cast<size_t>(i)]), j)) continue;
        block +=
            residuals[o * rows() + j] * Eigen::Map<const Eigen::VectorXd>(data_.row(j), features());
      }
    }
  }
}

void PlainPatternOperator::AdjointNorms(int outputs, const double* residuals, double* norms) {
  std::vector<double> gradient(static_cast<size_t>(outputs * patterns() * stride()));
  Adjoint(outputs, residuals, gradient.data());
  for (int64_t b = 0; b < outputs * patterns(); ++b) {
    norms[b] = Eigen::Map<const Eigen::VectorXd>(gradient.data() + b * stride(), stride()).norm();
  }
}

std::unique_ptr<PatternOperator<double>> PlainPatternOperator::Select(
    std::span<const int64_t> patterns) const {
  auto selected = std::make_unique<PlainPatternOperator>(data_, bits_);
  selected->chosen_.clear();
  for (const int64_t i : patterns) selected->chosen_.push_back(chosen_[static_cast<size_t>(i)]);
  return selected;
}

}  // namespace trainyard::convex_relu
