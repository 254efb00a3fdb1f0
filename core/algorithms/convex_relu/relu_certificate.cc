#include "core/algorithms/convex_relu/relu_certificate.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

// Blocks between looks at the greatest norm so far.
constexpr size_t kBlocksOfRound = 32;

}  // namespace

ReluCertifier::ReluCertifier(PatternOperator<double>& products, const ConeRows& rows,
                             const PatternBits& patterns, int outputs, ThreadPool& pool)
    : products_(products),
      rows_(rows),
      patterns_(patterns),
      outputs_(outputs),
      pool_(pool),
      projectors_(static_cast<size_t>(pool.threads()), ConeProjector(rows)),
      vectors_(projectors_.size(), Eigen::VectorXd::Zero(rows.stride())),
      gradient_(static_cast<size_t>(outputs * products.patterns() * products.stride())),
      gradient_norms_(static_cast<size_t>(outputs * products.patterns())),
      active_(2 * gradient_norms_.size()) {}

// Both blocks of all patterns whose gradient is longer than that, the longest first.
std::vector<ReluCertifier::Task> ReluCertifier::TasksAbove(double norm) const {
  std::vector<Task> tasks;
  for (int output = 0; output < outputs_; ++output) {
    for (int64_t i = 0; i < products_.patterns(); ++i) {
      const double own = gradient_norms_[static_cast<size_t>(VectorOf({i, 1, output}))];
      if (own <= norm) continue;
      tasks.push_back({{i, 1, output}, own});
      tasks.push_back({{i, -1, output}, own});
    }
  }
  std::stable_sort(tasks.begin(), tasks.end(),
                   [](const Task& a, const Task& b) { return a.norm > b.norm; });
  return tasks;
}

absl::Status ReluCertifier::Project(std::span<Task> tasks, double enough,
                                    const std::function<absl::Status()>& check) {
  absl::Status status;
  std::atomic<bool> stopped = false;
  pool_.Run(static_cast<int64_t>(tasks.size()), [&](int64_t index, int thread) {
    if (stopped.load(std::memory_order_relaxed)) return;
    if (thread == 0 && check) {  // the caller's
      status = check();
      if (!status.ok()) {
        stopped.store(true, std::memory_order_relaxed);
        return;
      }
    }
    Task& task = tasks[static_cast<size_t>(index)];
    Eigen::VectorXd& vector = vectors_[static_cast<size_t>(thread)];
    vector = -task.block.sign *
             Eigen::Map<const Eigen::VectorXd>(
                 gradient_.data() + VectorOf(task.block) * rows_.stride(), rows_.stride());
    task.norm = projectors_[static_cast<size_t>(thread)].Project(
        patterns_.pattern(task.block.pattern), vector.data(), active(task.block), vector.data(),
        enough);
  });
  return status;
}

void ReluCertifier::TakeGradient(const double* slopes) {
  products_.Adjoint(outputs_, slopes, gradient_.data());
  for (size_t i = 0; i < gradient_norms_.size(); ++i) {
    const double* block = gradient_.data() + static_cast<int64_t>(i) * rows_.stride();
    gradient_norms_[i] = Eigen::Map<const Eigen::VectorXd>(block, rows_.stride()).norm();
  }
}

absl::StatusOr<ReluCertifier::Norms> ReluCertifier::Evaluate(
    const double* slopes, double lambda, int64_t most, const std::function<absl::Status()>& check) {
  if (check) TY_RETURN_IF_ERROR(check());
  TakeGradient(slopes);
  Norms norms;
  for (const double norm : gradient_norms_) {
    if (norm <= lambda) norms.largest = std::max(norms.largest, norm);
  }
  std::vector<Task> tasks = TasksAbove(lambda);
  double enough = lambda;  // blocks with a smaller norm are not among those asked for
  for (size_t begin = 0; begin < tasks.size(); begin += kBlocksOfRound) {
    if (tasks[begin].norm <= enough) break;
    const std::span<Task> round =
        std::span(tasks).subspan(begin, std::min(kBlocksOfRound, tasks.size() - begin));
    TY_RETURN_IF_ERROR(Project(round, enough, check));
    norms.projections += static_cast<int64_t>(round.size());
    for (const Task& task : round) {
      norms.largest = std::max(norms.largest, task.norm);
      if (task.norm > enough) norms.violators.push_back({task.block, task.norm});
    }
    std::sort(norms.violators.begin(), norms.violators.end(),
              [](const ConeViolator& a, const ConeViolator& b) {
                return a.norm != b.norm ? a.norm > b.norm : a.block < b.block;
              });
    if (static_cast<int64_t>(norms.violators.size()) >= most) {
      norms.violators.resize(static_cast<size_t>(most));
      enough = norms.violators.back().norm;
    }
  }
  return norms;
}

absl::StatusOr<double> ReluCertifier::LargestNorm(const double* slopes,
                                                  const std::function<absl::Status()>& check) {
  TY_ASSIGN_OR_RETURN(const Norms norms, Evaluate(slopes, 0, 1, check));
  return norms.largest;
}

double ConeDualBound(const RowLoss& loss, double lambda, const double* predictions,
                     double largest_norm) {
  const DualPoint dual =
      loss.DualValue(predictions, largest_norm > 0 ? lambda / largest_norm
                                                   : std::numeric_limits<double>::infinity());
  // Cones have no use for negative multiples; theta = 0 gives 0.
  return dual.scale > 0 ? dual.value : 0;
}

absl::StatusOr<double> LargestReluLambda(ReluCertifier& certifier, const RowLoss& loss,
                                         const std::function<absl::Status()>& check) {
  const std::vector<double> zero(static_cast<size_t>(loss.size()), 0.0);
  std::vector<double> slopes(zero.size());
  loss.Gradient(zero.data(), slopes.data());
  return certifier.LargestNorm(slopes.data(), check);
}

}  // namespace trainyard::convex_relu
