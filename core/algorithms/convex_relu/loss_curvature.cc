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
  if (!coupled()) {
    loss_.Curvature(predictions, first_.data());
    return;
  }
  const Eigen::Map<const Eigen::MatrixXd> z(predictions, first_.rows(), first_.cols());
  for (int64_t j = 0; j < first_.rows(); ++j) {
    const double weight = loss_.RowScale(j);
    const double root = std::sqrt(weight);
    const double greatest = z.row(j).maxCoeff();
    double sum = 0;
    for (int64_t o = 0; o < first_.cols(); ++o) sum += std::exp(z(j, o) - greatest);
    for (int64_t o = 0; o < first_.cols(); ++o) {
      const double p = std::exp(z(j, o) - greatest) / sum;
      probabilities_(j, o) = p;
      first_(j, o) = weight * p;
      second_(j, o) = root * p;
    }
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
