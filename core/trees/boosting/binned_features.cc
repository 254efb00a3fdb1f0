#include "core/trees/boosting/binned_features.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "core/trees/boosting/quantile_bins.h"

namespace trainyard {
namespace {

constexpr size_t kRowsPerTask = 4096;

// Calls `visit(position)` for every deciding row.
template <typename Visit>
void ForEachDecidingRow(std::span<const int64_t> rows, const BinningOptions& options,
                        const Visit& visit) {
  if (options.deciding_rows.empty()) {
    for (size_t i = 0; i < rows.size(); ++i) visit(i);
  } else {
    for (const uint32_t i : options.deciding_rows) visit(size_t{i});
  }
}

// The thresholds in an array that a search of fixed length can run over.
std::array<double, 256> Padded(std::span<const double> thresholds) {
  std::array<double, 256> padded;
  padded.fill(std::numeric_limits<double>::infinity());
  std::copy(thresholds.begin(), thresholds.end(), padded.begin());
  return padded;
}

// Codes of 8 values at a time: the number of thresholds below each, by a binary search without
// branches whose 8 chains run at once.
void EncodeNumbers(const std::array<double, 256>& thresholds, uint8_t missing_code,
                   std::span<const double> numbers, std::span<const int64_t> rows, uint8_t* codes) {
  constexpr size_t kLanes = 8;
  for (size_t first = 0; first < rows.size(); first += kLanes) {
    const size_t lanes = std::min(kLanes, rows.size() - first);
    std::array<double, kLanes> values{};
    std::array<uint64_t, kLanes> below{};
    for (size_t i = 0; i < lanes; ++i) values[i] = numbers[static_cast<size_t>(rows[first + i])];
    for (uint64_t step = 128; step > 0; step /= 2) {
      for (size_t i = 0; i < kLanes; ++i) {
        below[i] += thresholds[below[i] + step - 1] < values[i] ? step : 0;
      }
    }
    for (size_t i = 0; i < lanes; ++i) {
      codes[(first + i) * BinnedFeatures::kBlockFeatures] =
          std::isnan(values[i]) ? missing_code : static_cast<uint8_t>(below[i]);
    }
  }
}

void EncodeLevels(std::span<const uint8_t> code_of_level, uint8_t missing_code,
                  std::span<const int32_t> levels, std::span<const int64_t> rows, uint8_t* codes) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const int32_t level = levels[static_cast<size_t>(rows[i])];
    const bool known = level >= 0 && static_cast<size_t>(level) < code_of_level.size();
    codes[i * BinnedFeatures::kBlockFeatures] =
        known ? code_of_level[static_cast<size_t>(level)] : missing_code;
  }
}

}  // namespace

void BinnedFeatures::DecideBins(const FeatureColumn& column, std::span<const int64_t> rows,
                                const BinningOptions& options, StopToken& stop, Feature& feature) {
  std::vector<double> values;
  std::vector<double> weights;
  values.reserve(options.deciding_rows.empty() ? rows.size() : options.deciding_rows.size());
  ForEachDecidingRow(rows, options, [&](size_t i) {
    values.push_back(column.numbers[static_cast<size_t>(rows[i])]);
    if (!options.weights.empty()) weights.push_back(options.weights[i]);
  });
  feature.thresholds = QuantileThresholds(values, weights, options.max_bins, stop);
  feature.bins = static_cast<int>(feature.thresholds.size()) + 1;
}

void BinnedFeatures::DecideLevels(const FeatureColumn& column, std::span<const int64_t> rows,
                                  const BinningOptions& options, Feature& feature) {
  std::vector<double> weights(static_cast<size_t>(column.level_count), 0.0);
  ForEachDecidingRow(rows, options, [&](size_t i) {
    const int32_t level = column.codes[static_cast<size_t>(rows[i])];
    if (level < 0 || level >= column.level_count) return;
    weights[static_cast<size_t>(level)] += options.weights.empty() ? 1.0 : options.weights[i];
  });
  std::vector<int32_t> levels;
  for (size_t level = 0; level < weights.size(); ++level) {
    if (weights[level] > 0) levels.push_back(static_cast<int32_t>(level));
  }
  const size_t limit = static_cast<size_t>(options.max_bins) - 1;
  if (levels.size() > limit) {
    std::stable_sort(levels.begin(), levels.end(), [&](int32_t a, int32_t b) {
      return weights[static_cast<size_t>(a)] > weights[static_cast<size_t>(b)];
    });
    levels.resize(limit);
    std::sort(levels.begin(), levels.end());
  }
  feature.bins = static_cast<int>(levels.size()) + 1;
  feature.code_of_level.assign(weights.size(), static_cast<uint8_t>(levels.size()));
  for (size_t bin = 0; bin < levels.size(); ++bin) {
    feature.code_of_level[static_cast<size_t>(levels[bin])] = static_cast<uint8_t>(bin);
  }
  feature.levels = std::move(levels);
}

absl::StatusOr<BinnedFeatures> BinnedFeatures::Build(std::span<const FeatureColumn> features,
                                                     std::span<const int64_t> rows,
                                                     const BinningOptions& options,
                                                     ThreadPool& pool,
                                                     const std::function<absl::Status()>& check) {
  if (static_cast<int64_t>(rows.size()) > kMaxRows) {
    return absl::InvalidArgumentError(
        absl::StrCat(rows.size(), " rows to boost on; at most ", kMaxRows, " are supported"));
  }
  if (options.max_bins < 2 || options.max_bins > 255) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_bins is ", options.max_bins, "; it must be 2 to 255"));
  }
  BinnedFeatures result;
  result.row_count_ = static_cast<int64_t>(rows.size());
  result.features_.resize(features.size());
  StopToken stop(check);
  std::vector<std::array<double, 256>> thresholds(features.size());
  pool.Run(static_cast<int64_t>(features.size()), [&](int64_t index, int) {
    if (stop.Ask()) return;
    const size_t f = static_cast<size_t>(index);
    Feature& feature = result.features_[f];
    feature.categorical = features[f].categorical;
    if (feature.categorical) {
      DecideLevels(features[f], rows, options, feature);
    } else {
      DecideBins(features[f], rows, options, stop, feature);
      thresholds[f] = Padded(feature.thresholds);
    }
  });
  if (stop.stopped()) return stop.status();
  result.blocks_.resize((features.size() + kBlockFeatures - 1) / kBlockFeatures);
  for (std::vector<uint64_t>& block : result.blocks_) block.resize(rows.size());
  const size_t tasks = (rows.size() + kRowsPerTask - 1) / kRowsPerTask;
  pool.Run(static_cast<int64_t>(tasks), [&](int64_t task, int) {
    if (stop.Ask()) return;
    const size_t first = static_cast<size_t>(task) * kRowsPerTask;
    const auto own = rows.subspan(first, std::min(kRowsPerTask, rows.size() - first));
    for (size_t f = 0; f < features.size(); ++f) {
      const Feature& feature = result.features_[f];
      // Bytes of words: little endian, as everywhere on x86.
      uint8_t* codes = reinterpret_cast<uint8_t*>(result.blocks_[f / 8].data() + first) + f % 8;
      const uint8_t missing = static_cast<uint8_t>(feature.bins);
      if (feature.categorical) {
        EncodeLevels(feature.code_of_level, missing, features[f].codes, own, codes);
      } else {
        EncodeNumbers(thresholds[f], missing, features[f].numbers, own, codes);
      }
    }
  });
  if (stop.stopped()) return stop.status();
  return result;
}

}  // namespace trainyard
