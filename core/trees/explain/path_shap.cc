#include "core/trees/explain/path_shap.h"

#include <algorithm>
#include <memory>
#include <new>

#include "core/trees/explain/path_kernel.h"

namespace trainyard {
namespace {

// Rows that one task takes: enough to use what it reads of each tree several times.
constexpr int64_t kTaskRows = 4 * kShapLanes;
// Steps between two questions whether to stop.
constexpr int64_t kStepsPerQuestion = 4'000'000;

// Numbers for vectors of 64 bytes.
class AlignedNumbers {
 public:
  explicit AlignedNumbers(size_t count)
      : numbers_(static_cast<double*>(
            ::operator new(std::max<size_t>(count, 1) * sizeof(double), std::align_val_t(64)))) {
    std::fill_n(numbers_.get(), count, 0.0);
  }
  double* data() { return numbers_.get(); }

 private:
  struct Free {
    void operator()(double* numbers) const { ::operator delete(numbers, std::align_val_t(64)); }
  };
  std::unique_ptr<double, Free> numbers_;
};

}  // namespace

PathKernel BestPathKernel() {
  static const PathKernel best = __builtin_cpu_supports("avx512f") &&
                                         __builtin_cpu_supports("avx512dq") &&
                                         __builtin_cpu_supports("avx512vl")
                                     ? RunPathKernelV4
                                     : RunPathKernelV3;
  return best;
}

double CombinationScale(const TreeEnsemble& ensemble) {
  const bool mean = ensemble.combination == TreeCombination::kMean && !ensemble.trees.empty();
  return mean ? 1.0 / static_cast<double>(ensemble.trees.size()) : 1.0;
}

PathShap::PathShap(const TreeEnsemble& ensemble, int feature_count, StopToken& stop)
    : feature_count_(feature_count),
      outputs_(ensemble.outputs),
      scale_(CombinationScale(ensemble)),
      used_(UsedFeatures(ensemble)),
      base_(static_cast<size_t>(ensemble.outputs), 0.0) {
  for (size_t t = 0; t < ensemble.trees.size() && !stop.Ask(); ++t) {
    plans_.push_back(
        MakePathPlan(ensemble.trees[t], used_, ensemble.OutputOf(static_cast<int>(t))));
    const PathPlan& plan = plans_.back();
    for (size_t k = 0; k < plan.expected.size(); ++k) {
      base_[static_cast<size_t>(plan.first_output) + k] += plan.expected[k];
    }
    row_cost_ += static_cast<int64_t>(plan.nodes.size()) * plan.points * plan.outputs;
  }
  for (size_t k = 0; k < base_.size(); ++k) {
    base_[k] = base_[k] * scale_ + (ensemble.base.empty() ? 0 : ensemble.base[k]);
  }
}

absl::Status PathShap::Explain(std::span<const FeatureColumn> features, int64_t begin,
                               int64_t count, ThreadPool& pool, StopToken& stop,
                               std::span<double> values) const {
  const size_t width = static_cast<size_t>(outputs_) * static_cast<size_t>(feature_count_);
  // Fewer rows per task where there would be too few tasks for the threads.
  const int64_t even = (count / pool.threads() + kShapLanes - 1) / kShapLanes * kShapLanes;
  const int64_t task_rows = std::clamp<int64_t>(even, kShapLanes, kTaskRows);
  pool.Run((count + task_rows - 1) / task_rows, [&](int64_t task, int) {
    if (stop.stopped()) return;
    const int64_t first = task * task_rows;
    ExplainBlocks(features, begin + first, std::min(task_rows, count - first), stop,
                  values.data() + static_cast<size_t>(first) * width);
  });
  return stop.status();
}

void PathShap::ExplainBlocks(std::span<const FeatureColumn> features, int64_t begin, int64_t count,
                             StopToken& stop, double* values) const {
  const int64_t blocks = (count + kShapLanes - 1) / kShapLanes;
  const size_t columns = used_.size();
  const size_t row_block = columns * kShapLanes;
  const size_t stride = static_cast<size_t>(outputs_) * kShapLanes;
  AlignedNumbers rows(row_block * static_cast<size_t>(blocks));
  AlignedNumbers sums(columns * stride * static_cast<size_t>(blocks));
  size_t scratch_size = 0;
  for (const PathPlan& plan : plans_) {
    scratch_size = std::max(scratch_size, PathScratchSize(plan.levels, plan.points, plan.outputs));
  }
  AlignedNumbers scratch(scratch_size);
  for (int64_t i = 0; i < blocks; ++i) {
    GatherLanes(features, used_, begin + i * kShapLanes,
                std::min<int64_t>(kShapLanes, count - i * kShapLanes),
                rows.data() + static_cast<size_t>(i) * row_block);
  }
  const PathKernel kernel = BestPathKernel();
  int64_t steps = kStepsPerQuestion;
  for (const PathPlan& plan : plans_) {
    if (steps >= kStepsPerQuestion) {
      if (stop.Ask()) return;
      steps = 0;
    }
    steps += static_cast<int64_t>(plan.nodes.size()) * plan.points * plan.outputs * count / 4;
    for (size_t i = 0; i < static_cast<size_t>(blocks); ++i) {
      kernel({plan.nodes.data(), plan.operations.data(),
              static_cast<int64_t>(plan.operations.size()), plan.weights.data(),
              plan.factors.data(), plan.leaf_values.data(), plan.level_sets.words().data(),
              plan.points, plan.levels, plan.outputs, rows.data() + i * row_block,
              sums.data() + i * columns * stride, static_cast<int64_t>(stride), plan.first_output,
              scratch.data()});
    }
  }
  const size_t features_out = static_cast<size_t>(feature_count_);
  for (int64_t row = 0; row < count; ++row) {
    const double* from = sums.data() + static_cast<size_t>(row / kShapLanes) * columns * stride +
                         static_cast<size_t>(row % kShapLanes);
    double* to = values + static_cast<size_t>(row) * static_cast<size_t>(outputs_) * features_out;
    std::fill_n(to, static_cast<size_t>(outputs_) * features_out, 0.0);
    for (size_t c = 0; c < columns; ++c) {
      for (size_t k = 0; k < static_cast<size_t>(outputs_); ++k) {
        to[k * features_out + static_cast<size_t>(used_[c])] =
            scale_ * from[c * stride + k * kShapLanes];
      }
    }
  }
}

}  // namespace trainyard
