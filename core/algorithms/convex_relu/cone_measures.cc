#include "core/algorithms/convex_relu/cone_measures.h"

#include <algorithm>
#include <cmath>

namespace trainyard::convex_relu {
namespace {

// sum over blocks and rows of (-A u)_+^2.
double SquaredViolation(const ConeProblem& problem, const ConeWeights& point) {
  std::vector<double> products(static_cast<size_t>(problem.rows.rows()));
  double sum = 0;
  for (size_t b = 0; b < point.blocks.size(); ++b) {
    problem.rows.Multiply(point.block(b), products.data());
    const uint64_t* pattern = problem.patterns.pattern(point.blocks[b].pattern);
    for (size_t j = 0; j < products.size(); ++j) {
      const bool active = IsActive(pattern, static_cast<int64_t>(j));
      const double violation = std::max(active ? -products[j] : products[j], 0.0);
      sum += violation * violation;
    }
  }
  return sum;
}

}  // namespace

void MeasureCones(const ConeProblem& problem, const ConeWeights& point, PartProgress& progress) {
  const ConeViolation violation = MeasureViolation(problem.rows, problem.patterns, point);
  progress.greatest_violation =
      violation.largest_product > 0 ? violation.largest_violation / violation.largest_product : 0;
  progress.constraint_violation = SquaredViolation(problem, point);
}

double ProximalResidual(const ConeProblem& problem, const RowLoss& loss, double lambda,
                        const ConeWeights& point) {
  BlockProducts products(problem.rows, problem.patterns, problem.pool);
  ConeProjector projector(problem.rows);
  std::vector<double> predictions(static_cast<size_t>(loss.size()));
  std::vector<double> slopes(predictions.size());
  products.Predict(point, loss.outputs(), predictions.data());
  loss.Gradient(predictions.data(), slopes.data());
  std::vector<double> trial(static_cast<size_t>(problem.rows.stride()));
  double sum = 0;
  for (size_t b = 0; b < point.blocks.size(); ++b) {
    const ConeBlock& block = point.blocks[b];
    const double* weights = point.block(b);
    products.Adjoint(block.pattern, slopes.data() + block.output * loss.rows(), trial.data());
    for (size_t k = 0; k < trial.size(); ++k) trial[k] = weights[k] - block.sign * trial[k];
    ActiveRows active = b < point.active.size() ? point.active[b] : ActiveRows();
    const double norm = projector.Project(problem.patterns.pattern(block.pattern), trial.data(),
                                          active, trial.data());
    const double factor = norm > lambda ? 1 - lambda / norm : 0;
    for (size_t k = 0; k < trial.size(); ++k) {
      const double change = factor * trial[k] - weights[k];
      sum += change * change;
    }
  }
  return sum;
}

ConeObjective ObjectiveOf(const ConeProblem& problem, const RowLoss& loss, double lambda,
                          const ConeWeights& point) {
  BlockProducts products(problem.rows, problem.patterns, problem.pool);
  std::vector<double> predictions(static_cast<size_t>(loss.size()));
  products.Predict(point, loss.outputs(), predictions.data());
  const double smooth = loss.Value(predictions.data());
  return {smooth, smooth + lambda * point.SumOfNorms()};
}

void CollectBlocks(const ConeWeights& point, int features, int first_output,
                   std::vector<FitBlock>& blocks) {
  for (size_t b = 0; b < point.blocks.size(); ++b) {
    if (point.IsZero(b)) continue;
    const double* weights = point.block(b);
    const ConeBlock& block = point.blocks[b];
    blocks.push_back(
        {first_output + block.output, block.pattern, block.sign, {weights, weights + features}});
  }
}

}  // namespace trainyard::convex_relu
