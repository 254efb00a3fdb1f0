#include "core/algorithms/convex_relu/certificate.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace trainyard::convex_relu {
namespace {

template <typename Real>
using Block = Eigen::Map<const Eigen::Array<Real, Eigen::Dynamic, 1>>;

}  // namespace

// The greatest norm of a block, entry or feature.
template <typename Real>
double DualNorm(RegularizerKind kind, const WeightShape& shape, const Real* gradient) {
  double greatest = 0;
  std::vector<double> features(static_cast<size_t>(shape.features), 0.0);
  for (int64_t b = 0; b < shape.blocks(); ++b) {
    const Block<Real> block(gradient + b * shape.stride, shape.features);
    if (kind == RegularizerKind::kL1) {
      greatest = std::max(greatest, static_cast<double>(block.abs().maxCoeff()));
    } else if (kind == RegularizerKind::kGroupL1) {
      greatest = std::max(greatest, block.template cast<double>().square().sum());
    } else {
      Eigen::Map<Eigen::ArrayXd>(features.data(), shape.features) +=
          block.template cast<double>().square();
    }
  }
  if (kind == RegularizerKind::kL1) return greatest;
  if (kind == RegularizerKind::kGroupL1) return std::sqrt(greatest);
  greatest = *std::max_element(features.begin(), features.end());
  return std::sqrt(greatest / shape.features);
}

template <typename Real>
std::optional<double> DualBound(const RowLoss& loss, RegularizerKind kind, double lambda,
                                const WeightShape& shape, const Real* predictions,
                                const Real* gradient) {
  if (kind == RegularizerKind::kNone || lambda <= 0) return std::nullopt;
  if (kind == RegularizerKind::kSquaredL2) {
    const double squares =
        Block<Real>(gradient, shape.size()).template cast<double>().square().sum();
    return loss.DualValueAt(predictions, 1) - squares / (2 * lambda);
  }
  const double norm = DualNorm(kind, shape, gradient);
  return loss
      .DualValue(predictions, norm > 0 ? lambda / norm : std::numeric_limits<double>::infinity())
      .value;
}

template <typename Real>
DualPoint GroupDualBound(const RowLoss& loss, double lambda, const Real* predictions,
                         std::span<const double> block_norms) {
  double greatest = 0;
  for (const double norm : block_norms) greatest = std::max(greatest, norm);
  return loss.DualValue(predictions,
                        greatest > 0 ? lambda / greatest : std::numeric_limits<double>::infinity());
}

double RelativeGap(double objective, double bound) {
  const double gap = std::max(objective - bound, 0.0);
  return gap == 0 ? 0 : gap / std::abs(objective);
}

template double DualNorm(RegularizerKind, const WeightShape&, const float*);
template double DualNorm(RegularizerKind, const WeightShape&, const double*);
template std::optional<double> DualBound(const RowLoss&, RegularizerKind, double,
                                         const WeightShape&, const float*, const float*);
template std::optional<double> DualBound(const RowLoss&, RegularizerKind, double,
                                         const WeightShape&, const double*, const double*);
template DualPoint GroupDualBound(const RowLoss&, double, const float*, std::span<const double>);
template DualPoint GroupDualBound(const RowLoss&, double, const double*, std::span<const double>);

}  // namespace trainyard::convex_relu
