#include "core/trees/boosting/boosting_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/trees/boosting/gradient_sums.h"
#include "core/trees/boosting/residual_quantile.h"

namespace trainyard {
namespace {

constexpr double kGreatestTarget = 1e145;
// Shares of classes and means of counts are held this far from 0 where their logarithm is taken.
constexpr double kLeastShare = 1e-12;
constexpr double kLeastMean = 1e-300;
// A Newton step on a log scale can be arbitrarily wrong where the second derivative is small;
// these bounds bind only there.
constexpr double kMaxLogitStep = 10;
constexpr double kMaxLogStep = 2;

double WeightSum(const ScoredRows& data, std::span<const uint32_t> rows) {
  double sum = 0;
  for (const uint32_t row : rows) sum += data.WeightOf(row);
  return sum;
}

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
    for (const uint32_t row : rows) {
      const double residual = Residual(data, row);
      const double slope = residual > 0 ? -level_ : 1 - level_;
      gradients[row] = factor_ * data.WeightOf(row) * slope;
    }
  }
  double LossSum(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    double sum = 0;
    for (const uint32_t row : rows) {
      const double residual = Residual(data, row);
      sum += data.WeightOf(row) * residual * (residual > 0 ? level_ : level_ - 1);
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
    for (const uint32_t row : rows) {
      const double weight = data.WeightOf(row);
      const double mean = std::exp(data.scores[row]);
      gradients[row] = weight * (mean - data.target.values[row]);
      hessians[row] = weight * mean;
    }
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

class ClassLoss : public BoostingLoss {
 public:
  bool unit_hessian() const override { return false; }
  double max_step() const override { return kMaxLogitStep; }
  absl::Status CheckTargets(const TreeTarget& target,
                            std::span<const uint32_t> rows) const override {
    for (const uint32_t row : rows) {
      const int32_t value = target.classes[row];
      if (value < 0 || value >= target.outputs) {
        return absl::InvalidArgumentError(absl::StrCat("the class of row ", row, " is ", value,
                                                       "; it must be 0 to ", target.outputs - 1));
      }
    }
    return absl::OkStatus();
  }

 protected:
  static std::vector<double> Shares(const ScoredRows& data, std::span<const uint32_t> rows) {
    std::vector<double> shares(static_cast<size_t>(data.target.outputs), 0.0);
    for (const uint32_t row : rows) {
      shares[static_cast<size_t>(data.target.classes[row])] += data.WeightOf(row);
    }
    const double total = WeightSum(data, rows);
    for (double& share : shares) share = std::clamp(share / total, kLeastShare, 1 - kLeastShare);
    return shares;
  }
};

class LogisticLoss final : public ClassLoss {
 public:
  Link link() const override { return Link::kLogistic; }
  std::vector<double> Base(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    const std::vector<double> shares = Shares(data, rows);
    return {std::log(shares[1] / shares[0])};
  }
  void Gradients(const ScoredRows& data, std::span<const uint32_t> rows, int, double* gradients,
                 double* hessians) const override {
    for (const uint32_t row : rows) {
      const double weight = data.WeightOf(row);
      const double p = 1 / (1 + std::exp(-data.scores[row]));
      gradients[row] = weight * (p - (data.target.classes[row] == 1 ? 1 : 0));
      hessians[row] = weight * p * (1 - p);
    }
  }
  double LossSum(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    double sum = 0;
    for (const uint32_t row : rows) {
      const double margin = data.target.classes[row] == 1 ? data.scores[row] : -data.scores[row];
      sum +=
          data.WeightOf(row) * (std::max(-margin, 0.0) + std::log1p(std::exp(-std::abs(margin))));
    }
    return sum;
  }
};

class SoftmaxLoss final : public ClassLoss {
 public:
  explicit SoftmaxLoss(int classes) : classes_(classes) {}
  int outputs() const override { return classes_; }
  Link link() const override { return Link::kSoftmax; }
  std::vector<double> Base(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    std::vector<double> scores = Shares(data, rows);
    for (double& score : scores) score = std::log(score);
    return scores;
  }
  void Prepare(const ScoredRows& data, std::span<const uint32_t> rows, ThreadPool& pool) override {
    log_sum_.resize(data.row_count);
    SumInBlocks(rows.size(), pool, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) log_sum_[rows[i]] = LogSumExp(data, rows[i]);
      return 0.0;
    });
  }
  void Gradients(const ScoredRows& data, std::span<const uint32_t> rows, int output,
                 double* gradients, double* hessians) const override {
    const double* scores = data.ScoresOf(output);
    for (const uint32_t row : rows) {
      const double weight = data.WeightOf(row);
      const double p = std::exp(scores[row] - log_sum_[row]);
      gradients[row] = weight * (p - (data.target.classes[row] == output ? 1 : 0));
      hessians[row] = std::max(weight * p * (1 - p), 0.0);
    }
  }
  double LossSum(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    double sum = 0;
    for (const uint32_t row : rows) {
      const double own = data.ScoresOf(data.target.classes[row])[row];
      sum += data.WeightOf(row) * (LogSumExp(data, row) - own);
    }
    return sum;
  }

 private:
  double LogSumExp(const ScoredRows& data, uint32_t row) const {
    double greatest = -std::numeric_limits<double>::infinity();
    for (int k = 0; k < classes_; ++k) greatest = std::max(greatest, data.ScoresOf(k)[row]);
    double sum = 0;
    for (int k = 0; k < classes_; ++k) sum += std::exp(data.ScoresOf(k)[row] - greatest);
    return greatest + std::log(sum);
  }

  const int classes_;
  std::vector<double> log_sum_;  // by row, as of Prepare
};

absl::Status NotForTarget(const char* loss, const char* needed) {
  return absl::InvalidArgumentError(absl::StrCat("loss is ", loss, "; it needs ", needed));
}

}  // namespace

double BoostingLoss::max_step() const { return std::numeric_limits<double>::max(); }

void BoostingLoss::Prepare(const ScoredRows&, std::span<const uint32_t>, ThreadPool&) {}

double BoostingLoss::NodeValue(const ScoredRows&, std::span<const uint32_t>) const { return 0; }

absl::StatusOr<std::unique_ptr<BoostingLoss>> MakeBoostingLoss(const v1::BoostingOptions& options,
                                                               const TreeTarget& target) {
  using Options = v1::BoostingOptions;
  Options::Loss loss = options.loss();
  if (loss == Options::LOSS_UNSPECIFIED) {
    loss = !target.classification() ? Options::LOSS_SQUARED_ERROR
           : target.outputs == 2    ? Options::LOSS_LOGISTIC
                                    : Options::LOSS_SOFTMAX;
  }
  const bool of_classes = loss == Options::LOSS_LOGISTIC || loss == Options::LOSS_SOFTMAX;
  const std::string name = Options::Loss_Name(loss);
  if (of_classes != target.classification()) {
    return NotForTarget(name.c_str(), of_classes ? "classes" : "a regression target");
  }
  if (!of_classes && target.outputs != 1) return NotForTarget(name.c_str(), "one target");
  if (loss == Options::LOSS_LOGISTIC && target.outputs != 2) {
    return NotForTarget(name.c_str(), "two classes");
  }
  if (loss == Options::LOSS_SOFTMAX && target.outputs < 2) {
    return NotForTarget(name.c_str(), "at least two classes");
  }
  switch (loss) {
    case Options::LOSS_LOGISTIC:
      return std::make_unique<LogisticLoss>();
    case Options::LOSS_SOFTMAX:
      return std::make_unique<SoftmaxLoss>(target.outputs);
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
