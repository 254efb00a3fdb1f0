// Every feature of a training set as codes of at most 255 bins and one for missing values, for all
// trees boosted on its rows.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "core/trees/stop_token.h"
#include "core/trees/tree.h"

namespace trainyard {

// How features are cut into bins.
struct BinningOptions {
  // Bins of a feature beside the one for missing values, 2 to 255.
  int max_bins = 255;
  // Rows (indices into the binned rows) whose values decide on the bins; empty: all. Leave
  // validation rows out here.
  std::span<const uint32_t> deciding_rows;
  // Weight of each binned row, >= 0, or empty for 1.
  std::span<const double> weights;
};

// Codes of all features. A numeric feature has thresholds by QuantileThresholds, and values <=
// threshold[b] have codes <= b. A categorical one has a bin for each of its max_bins - 1 levels of
// greatest weight, ascending by level, then one for all other levels. The code after the bins is
// that of missing values (NaN; level codes out of range). Immutable and thread-safe. Memory: one
// byte per row and feature, features rounded up to a multiple of 8.
class BinnedFeatures {
 public:
  // Codes of this many features of one row share a word.
  static constexpr int kBlockFeatures = 8;
  static constexpr int64_t kMaxRows = int64_t{1} << 26;

  // Bins `rows` (indices into the columns), at most 2^26. INVALID_ARGUMENT for more, or for a
  // max_bins out of range; or what `check` returns when that is not OK.
  static absl::StatusOr<BinnedFeatures> Build(std::span<const FeatureColumn> features,
                                              std::span<const int64_t> rows,
                                              const BinningOptions& options, ThreadPool& pool,
                                              const std::function<absl::Status()>& check);

  int feature_count() const { return static_cast<int>(features_.size()); }
  int64_t row_count() const { return row_count_; }
  bool categorical(int feature) const { return At(feature).categorical; }
  // Bins of values; the code of missing values is this number.
  int bin_count(int feature) const { return At(feature).bins; }
  int missing_code(int feature) const { return At(feature).bins; }
  // Numeric features: upper end of each bin but the last, ascending.
  std::span<const double> thresholds(int feature) const { return At(feature).thresholds; }
  // Categorical features: the levels with bins of their own, ascending.
  std::span<const int32_t> levels(int feature) const { return At(feature).levels; }

  int block_count() const { return static_cast<int>(blocks_.size()); }
  // One word per row; byte j holds the code of feature 8 * block + j.
  const uint64_t* block(int block) const { return blocks_[static_cast<size_t>(block)].data(); }
  int Code(int feature, int64_t row) const {
    return static_cast<int>(block(feature / 8)[row] >> (8 * (feature % 8)) & 0xFF);
  }

 private:
  struct Feature {
    bool categorical = false;
    int bins = 1;
    std::vector<double> thresholds;
    std::vector<int32_t> levels;
    std::vector<uint8_t> code_of_level;
  };
  const Feature& At(int feature) const { return features_[static_cast<size_t>(feature)]; }
  static void DecideBins(const FeatureColumn& column, std::span<const int64_t> rows,
                         const BinningOptions& options, StopToken& stop, Feature& feature);
  static void DecideLevels(const FeatureColumn& column, std::span<const int64_t> rows,
                           const BinningOptions& options, Feature& feature);

  std::vector<Feature> features_;
  std::vector<std::vector<uint64_t>> blocks_;
  int64_t row_count_ = 0;
};

}  // namespace trainyard
