// A pattern operator made of plain loops over dense masks: what the fast ones are held against.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/algorithms/convex_relu/padded_matrix.h"
#include "core/algorithms/convex_relu/pattern_operator.h"

namespace trainyard::convex_relu {

template <typename Real>
class DenseOperator final : public PatternOperator<Real> {
 public:
  // `masks` is [pattern][row]; `data` must outlive the operator.
  DenseOperator(const PaddedMatrix<double>& data, std::vector<std::vector<bool>> masks)
      : data_(data), masks_(std::move(masks)) {}

  int64_t rows() const override { return data_.rows(); }
  int features() const override { return data_.columns(); }
  int stride() const override { return data_.stride(); }
  int64_t patterns() const override { return static_cast<int64_t>(masks_.size()); }

  void Forward(int outputs, const Real* weights, Real* predictions) override {
    for (int o = 0; o < outputs; ++o) {
      for (int64_t j = 0; j < rows(); ++j) {
        double sum = 0;
        for (size_t i = 0; i < masks_.size(); ++i) {
          if (masks_[i][static_cast<size_t>(j)]) sum += Product(Block(weights, o, i), j);
        }
        predictions[o * rows() + j] = static_cast<Real>(sum);
      }
    }
  }

  void Adjoint(int outputs, const Real* residuals, Real* gradient) override {
    for (int o = 0; o < outputs; ++o) {
      for (size_t i = 0; i < masks_.size(); ++i) {
        const std::vector<double> sums = Column(residuals + o * rows(), i);
        Real* block = gradient + Offset(o, i);
        for (int k = 0; k < stride(); ++k) block[k] = static_cast<Real>(sums[size_t(k)]);
      }
    }
  }

  void AdjointNorms(int outputs, const Real* residuals, double* norms) override {
    for (int o = 0; o < outputs; ++o) {
      for (size_t i = 0; i < masks_.size(); ++i) {
        double squares = 0;
        for (const double v : Column(residuals + o * rows(), i)) squares += v * v;
        norms[o * patterns() + static_cast<int64_t>(i)] = std::sqrt(squares);
      }
    }
  }

  std::unique_ptr<PatternOperator<Real>> Select(std::span<const int64_t> chosen) const override {
    std::vector<std::vector<bool>> masks;
    for (const int64_t i : chosen) masks.push_back(masks_[static_cast<size_t>(i)]);
    return std::make_unique<DenseOperator>(data_, std::move(masks));
  }

 private:
  int64_t Offset(int output, size_t pattern) const {
    return (output * patterns() + static_cast<int64_t>(pattern)) * stride();
  }
  const Real* Block(const Real* weights, int output, size_t pattern) const {
    return weights + Offset(output, pattern);
  }
  double Product(const Real* block, int64_t row) const {
    double sum = 0;
    for (int k = 0; k < features(); ++k) sum += data_.row(row)[k] * static_cast<double>(block[k]);
    return sum;
  }
  std::vector<double> Column(const Real* residual, size_t pattern) const {
    std::vector<double> sums(static_cast<size_t>(stride()), 0.0);
    for (int64_t j = 0; j < rows(); ++j) {
      if (!masks_[pattern][static_cast<size_t>(j)]) continue;
      for (int k = 0; k < features(); ++k) {
        sums[static_cast<size_t>(k)] += data_.row(j)[k] * static_cast<double>(residual[j]);
      }
    }
    return sums;
  }

  const PaddedMatrix<double>& data_;
  const std::vector<std::vector<bool>> masks_;
};

}  // namespace trainyard::convex_relu
