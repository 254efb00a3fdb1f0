// How much each feature matters to an ensemble as a whole.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "core/trees/ensemble.h"
#include "core/trees/stop_token.h"

namespace trainyard {

// Mean decrease of impurity (Breiman 2001): for each feature the sum over its splits t of
// N(t) i(t) - N(a) i(a) - N(b) i(b), divided by N(root). Of a mean of trees each tree's numbers are
// first scaled to the sum 1, as in scikit-learn's forests; of a sum of trees they are added as they
// are. The result is scaled to the sum 1; all 0 where nothing is split. Depends on the training
// alone, so shrinkage does not change it.
std::vector<double> ImpurityImportance(const TreeEnsemble& ensemble, int feature_count);

// A model as a function of columns: fills in scores of rows [begin, begin + scores.size() /
// outputs). Thread-safe.
using ScoreFunction = std::function<void(std::span<const FeatureColumn> features, int64_t begin,
                                         std::span<double> scores)>;

// Quality of the scores of all rows, [row][output]; greater is better. Thread-safe.
using QualityFunction = std::function<double(std::span<const double> scores)>;

struct PermutationOptions {
  int64_t rows = 0;  // of the columns, from 0
  int outputs = 1;   // scores per row
  int repeats = 5;   // >= 1
  uint64_t seed = 0;
};

// How much quality is lost when one feature's values are shuffled among the rows.
struct PermutationImportance {
  double quality = 0;             // of the rows as they are
  std::vector<double> losses;     // [feature][repeat]: quality minus that after the shuffle
  std::vector<double> mean;       // of the losses over the repeats, by feature
  std::vector<double> deviation;  // standard deviation (divisor repeats - 1; 0 for one repeat)
};

// Permutation importance (Breiman 2001; Fisher, Rudin, Dominici 2019). The shuffles depend on seed,
// feature and repeat alone. Memory: scores and one column per thread. Returns the status of `stop`.
absl::StatusOr<PermutationImportance> PermuteFeatures(std::span<const FeatureColumn> features,
                                                      const PermutationOptions& options,
                                                      const ScoreFunction& score,
                                                      const QualityFunction& quality,
                                                      ThreadPool& pool, StopToken& stop);

// Over the rows of SHAP values [row][output][feature]: means of phi and of |phi| and the greatest
// |phi|, each [output][feature].
struct ShapSummary {
  std::vector<double> mean;
  std::vector<double> mean_absolute;
  std::vector<double> max_absolute;
};

// Adds rows up; may be fed block by block.
class ShapSummarizer {
 public:
  ShapSummarizer(int outputs, int feature_count);
  void Add(std::span<const double> values);
  // All 0 without rows.
  ShapSummary Summary() const;

 private:
  const size_t width_;
  int64_t rows_ = 0;
  ShapSummary sums_;
};

}  // namespace trainyard
