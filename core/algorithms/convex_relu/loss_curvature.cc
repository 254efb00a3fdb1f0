#include "core/algorithms/convex_relu/loss_curvature.h"

#include <cmath>

namespace trainyard::convex_relu {

LossCurvature::LossCurvature(const RowLoss& loss)
    : loss_(loss), first_(loss.rows(), loss.outputs()) {
  if (!coupled()) return;
  second_.resize(loss.rows(), loss.outputs());
  probabilities_.resize(loss.rows(), loss.outputs());
}

void LossCurvature::Set(const double* predictions) {
  loss_.Curvature(predictions, first_.data());
  if (!coupled()) return;
  for (int64_t j = 0; j < first_.rows(); ++j) {
    const double weight = loss_.RowScale(j);
    if (weight > 0) {
      probabilities_.row(j) = first_.row(j) / weight;
    } else {
      probabilities_.row(j).setZero();
    }
    second_.row(j) = std::sqrt(weight) * probabilities_.row(j);
  }
}

double LossCurvature::Diagonal(int output, int64_t row) const {
  return coupled() ? first_(row, output) * (1 - probabilities_(row, output)) : first_(row, output);
}

// Of the softmax r (p o (v - p.v)), whose differences come first, so that little cancels.
void LossCurvature::Multiply(int64_t begin, Eigen::MatrixXd& values) const {
  const int64_t count = values.rows();
  if (coupled()) {
    for (int64_t j = 0; j < count; ++j) {
      double mean = 0;
      for (int64_t o = 0; o < values.cols(); ++o) {
        mean += probabilities_(begin + j, o) * values(j, o);
      }
      for (int64_t o = 0; o < values.cols(); ++o) values(j, o) -= mean;
    }
  }
  values.array() *= first_.middleRows(begin, count).array();
}

}  // namespace trainyard::convex_relu
