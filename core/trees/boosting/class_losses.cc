// The losses of classes.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/trees/boosting/gradient_sums.h"
#include "core/trees/boosting/loss_sums.h"

namespace trainyard {
namespace {

// Shares of classes are held this far from 0 and 1 where their logarithm is taken.
constexpr double kLeastShare = 1e-12;
// A Newton step on a log scale can be arbitrarily wrong where the second derivative is small; this
// bound binds only there.
constexpr double kMaxLogitStep = 10;

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
    ForEachExp(
        rows, [&](uint32_t row) { return -data.scores[row]; },
        [&](uint32_t row, double e) {
          const double weight = data.WeightOf(row);
          const double p = 1 / (1 + e);
          gradients[row] = weight * (p - (data.target.classes[row] == 1 ? 1 : 0));
          hessians[row] = weight * p * (1 - p);
        });
  }
  double LossSum(const ScoredRows& data, std::span<const uint32_t> rows) const override {
    // log(1 + exp(-m)) for the margin m is max(-m, 0) + log(1 + exp(-|m|)); without weights the
    // latter are summed as the logarithm of their product, a few hundred factors <= 2 at a time.
    constexpr double kGreatestProduct = 0x1p1000;
    double sum = 0;
    double product = 1;
    ForEachExp(
        rows, [&](uint32_t row) { return -std::abs(data.scores[row]); },
        [&](uint32_t row, double e) {
          const double score = data.scores[row];
          const double miss = std::max(data.target.classes[row] == 1 ? -score : score, 0.0);
          if (!data.weights.empty()) {
            sum += data.weights[row] * (miss + std::log1p(e));
            return;
          }
          sum += miss;
          product *= 1 + e;
          if (product > kGreatestProduct) {
            sum += std::log(product);
            product = 1;
          }
        });
    return sum + std::log(product);
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
    // All scores of a row move in the same round, though only their differences matter: with the
    // factor K / (K - 1) the K steps together are one Newton step (Friedman 2001, equation 34).
    const double factor = static_cast<double>(classes_) / (classes_ - 1);
    const double* scores = data.ScoresOf(output);
    ForEachExp(
        rows, [&](uint32_t row) { return scores[row] - log_sum_[row]; },
        [&](uint32_t row, double p) {
          const double weight = data.WeightOf(row);
          gradients[row] = weight * (p - (data.target.classes[row] == output ? 1 : 0));
          hessians[row] = std::max(factor * weight * p * (1 - p), 0.0);
        });
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

}  // namespace

std::unique_ptr<BoostingLoss> MakeClassLoss(v1::BoostingOptions::Loss loss, int classes) {
  if (loss == v1::BoostingOptions::LOSS_SOFTMAX) return std::make_unique<SoftmaxLoss>(classes);
  return std::make_unique<LogisticLoss>();
}

}  // namespace trainyard
