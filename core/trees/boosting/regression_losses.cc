// The losses of real targets.
#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/trees/boosting/loss_sums.h"
#include "core/trees/boosting/residual_quantile.h"

namespace trainyard {
namespace {

constexpr double kGreatestTarget = 1e145;
// Means of counts are held this far from 0 where their logarithm is taken.
constexpr double kLeastMean = 1e-300;
// A Newton step on a log scale can be arbitrarily wrong where the second derivative is small; this
// bound binds only there.
constexpr double kMaxLogStep = 2;

double WeightedMean(const ScoredRows& data, std::span<const uint32_t> rows) {
  // In two steps, so that a constant target has exactly itself as mean.
  const double weight = WeightSum(data, rows);
  const double first = data.target.values[rows[0]];
  double sum = 0;
  for (const uint32_t row : rows) sum += data.WeightOf(row) * (data.target.values[row] - first);
  return first + sum / weight;
}

// The quantile of `value_of(row)` over the rows.
template <typename ValueOf>
double QuantileOf(const ScoredRows& data, std::span<const uint32_t> rows, double level,
                  const ValueOf& value_of) {
  if (data.weights.empty()) {
    std::vector<double> values(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) values[i] = value_of(rows[i]);
    return LowerQuantile(std::span(values), level);
  }
  std::vector<WeightedValue> values(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) values[i] = {value_of(rows[i]), data.weights[rows[i]]};
  return LowerQuantile(std::span(values), level);
}

// Losses of the distance between one real target and one score.
class RegressionLoss : public BoostingLoss {
 public:
  absl::Status CheckTargets(const TreeTarget& target,
                            std::span<const uint32_t> rows) const override {
    for (const uint32_t row : rows) {
      const double value = target.values[row];
      if (!(std::abs(value) <= kGreatestTarget)) {
        return absl::InvalidArgumentError(absl::StrCat("the target of row ", row, " is ", value,
                                                       "; it must be finite and within ±1e145"));
      }
    }
    return absl::OkStatus();
  }

 protected:
  static double Residual(const ScoredRows& data, uint32_t row) {
    return data.target.values[row] - data.scores[row];
  }
};

// (y - s)^2 with g = w (s - y): half the derivative, as h = w is half the second.
class SquaredLoss final : public RegressionLoss {
 public:
  std::vector<double> Base(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    return {WeightedMean(data, rows)};
  }
  void Gradients(const ScoredRows& data, std::span<const uint32_t> rows, int, double* gradients,
                 double*) const override {
    for (const uint32_t row : rows) gradients[row] = -Residual(data, row) * data.WeightOf(row);
  }
  double LossSum(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    double sum = 0;
    for (const uint32_t row : rows) {
      const double residual = Residual(data, row);
      sum += data.WeightOf(row) * residual * residual;
    }
    return sum;
  }
};

// Pinball loss; the median's is half the absolute error and is reported as the whole.
class QuantileLoss final : public RegressionLoss {
 public:
  QuantileLoss(double level, double factor) : level_(level), factor_(factor) {}

  std::vector<double> Base(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    return {QuantileOf(data, rows, level_, [&](uint32_t row) { return data.target.values[row]; })};
  }
  void Gradients(const ScoredRows& data, std::span<const uint32_t> rows, int, double* gradients,
                 double*) const override {
    const double slopes[] = {1 - level_, -level_};  // looked up: the side is a toss-up
    for (const uint32_t row : rows) {
      const double residual = Residual(data, row);
      const double slope = slopes[residual > 0 ? 1 : 0];
      gradients[row] = factor_ * data.WeightOf(row) * slope;
    }
  }
  double LossSum(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    const double slopes[] = {level_ - 1, level_};
    double sum = 0;
    for (const uint32_t row : rows) {
      const double residual = Residual(data, row);
      sum += data.WeightOf(row) * residual * slopes[residual > 0 ? 1 : 0];
    }
    return factor_ * sum;
  }
  bool uses_residuals() const override { return true; }
  double NodeValue(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    return QuantileOf(data, rows, level_, [&](uint32_t row) { return Residual(data, row); });
  }

 private:
  const double level_;
  const double factor_;
};

// Friedman 2001, algorithm 4.
class HuberLoss final : public RegressionLoss {
 public:
  HuberLoss(double delta, double quantile)
      : fixed_(delta > 0), quantile_(quantile), delta_(delta), reported_delta_(delta) {}

  std::vector<double> Base(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    return {QuantileOf(data, rows, 0.5, [&](uint32_t row) { return data.target.values[row]; })};
  }
  void Prepare(const ScoredRows& data, std::span<const uint32_t> rows, ThreadPool&) override {
    if (fixed_) return;
    delta_ = QuantileOf(data, rows, quantile_,
                        [&](uint32_t row) { return std::abs(Residual(data, row)); });
    // Losses of different rounds are only comparable by one delta.
    if (reported_delta_ == 0) reported_delta_ = delta_;
  }
  void Gradients(const ScoredRows& data, std::span<const uint32_t> rows, int, double* gradients,
                 double*) const override {
    for (const uint32_t row : rows) {
      gradients[row] = -data.WeightOf(row) * std::clamp(Residual(data, row), -delta_, delta_);
    }
  }
  double LossSum(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    const double delta = reported_delta_;
    double sum = 0;
    for (const uint32_t row : rows) {
      const double distance = std::abs(Residual(data, row));
      sum += data.WeightOf(row) *
             (distance <= delta ? distance * distance / 2 : delta * (distance - delta / 2));
    }
    return sum;
  }
  bool uses_residuals() const override { return true; }
  // The median and the mean of the distances from it, cut at delta.
  double NodeValue(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    const double median =
        QuantileOf(data, rows, 0.5, [&](uint32_t row) { return Residual(data, row); });
    double sum = 0;
    for (const uint32_t row : rows) {
      sum += data.WeightOf(row) * std::clamp(Residual(data, row) - median, -delta_, delta_);
    }
    return median + sum / WeightSum(data, rows);
  }

 private:
  const bool fixed_;
  const double quantile_;
  double delta_;
  double reported_delta_;
};

class PoissonLoss final : public RegressionLoss {
 public:
  Link link() const override { return Link::kExp; }
  bool unit_hessian() const override { return false; }
  double max_step() const override { return kMaxLogStep; }

  absl::Status CheckTargets(const TreeTarget& target,
                            std::span<const uint32_t> rows) const override {
    const absl::Status status = RegressionLoss::CheckTargets(target, rows);
    if (!status.ok()) return status;
    for (const uint32_t row : rows) {
      if (target.values[row] < 0) {
        return absl::InvalidArgumentError(absl::StrCat("the target of row ", row, " is ",
                                                       target.values[row],
                                                       "; Poisson regression needs targets >= 0"));
      }
    }
    return absl::OkStatus();
  }
  std::vector<double> Base(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    return {std::log(std::max(WeightedMean(data, rows), kLeastMean))};
  }
  void Gradients(const ScoredRows& data, std::span<const uint32_t> rows, int, double* gradients,
                 double* hessians) const override {
    ForEachExp(
        rows, [&](uint32_t row) { return data.scores[row]; },
        [&](uint32_t row, double mean) {
          const double weight = data.WeightOf(row);
          gradients[row] = weight * (mean - data.target.values[row]);
          hessians[row] = weight * mean;
        });
  }
  double LossSum(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    double sum = 0;
    for (const uint32_t row : rows) {
      const double y = data.target.values[row];
      const double score = data.scores[row];
      const double saturated = y > 0 ? y - y * std::log(y) : 0;
      sum += data.WeightOf(row) * (std::exp(score) - y * score - saturated);
    }
    return sum;
  }
};

}  // namespace

std::unique_ptr<BoostingLoss> MakeRegressionLoss(v1::BoostingOptions::Loss loss,
                                                 const v1::BoostingOptions& options) {
  using Options = v1::BoostingOptions;
  switch (loss) {
    case Options::LOSS_POISSON:
      return std::make_unique<PoissonLoss>();
    case Options::LOSS_QUANTILE:
      return std::make_unique<QuantileLoss>(options.quantile_level(), 1);
    case Options::LOSS_ABSOLUTE_ERROR:
      return std::make_unique<QuantileLoss>(0.5, 2);
    case Options::LOSS_HUBER:
      return std::make_unique<HuberLoss>(options.has_huber_delta() ? options.huber_delta() : 0,
                                         options.huber_quantile());
    default:
      return std::make_unique<SquaredLoss>();
  }
}

}  // namespace trainyard
