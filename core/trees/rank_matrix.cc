#include "core/trees/rank_matrix.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace trainyard {
namespace {

template <typename T>
void Scatter(std::span<const OrderEntry> order, std::vector<T>& ranks) {
  ranks.resize(order.size());
  for (const OrderEntry& entry : order) ranks[entry.row] = static_cast<T>(entry.rank);
}

template <typename T>
void ScatterValues(std::span<const OrderEntry> order, std::span<const double> values,
                   std::vector<T>& by_row) {
  by_row.resize(order.size());
  for (const OrderEntry& entry : order) {
    by_row[entry.row] = entry.rank < values.size() ? static_cast<T>(values[entry.rank])
                                                   : std::numeric_limits<T>::quiet_NaN();
  }
}

bool AreFloats(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double value) {
    if (std::isinf(value)) return true;
    return std::abs(value) <= double{std::numeric_limits<float>::max()} &&
           double{static_cast<float>(value)} == value;
  });
}

}  // namespace

RankMatrix::RankMatrix(const PresortedFeatures& features, Numbers numbers, ThreadPool& pool)
    : features_(&features), columns_(static_cast<size_t>(features.feature_count())) {
  pool.Run(features.feature_count(), [&](int64_t index, int) {
    const int feature = static_cast<int>(index);
    const std::span<const OrderEntry> order = features.order(feature);
    Column& column = columns_[static_cast<size_t>(feature)];
    if (numbers == Numbers::kAsValues && !features.categorical(feature)) {
      const std::span<const double> values = features.values(feature);
      if (AreFloats(values)) {
        ScatterValues(order, values, column.floats);
      } else {
        ScatterValues(order, values, column.values);
      }
    } else if (features.missing_rank(feature) <= std::numeric_limits<uint16_t>::max()) {
      Scatter(order, column.narrow);
    } else {
      Scatter(order, column.wide);
    }
  });
}

void RankMatrix::Gather(int feature, std::span<const uint32_t> rows, uint32_t* to) const {
  const Column& column = At(feature);
  const auto gather = [&](const auto* from) {
    for (size_t i = 0; i < rows.size(); ++i) to[i] = from[rows[i]];
  };
  if (column.narrow.empty()) {
    gather(column.wide.data());
  } else {
    gather(column.narrow.data());
  }
}

void RankMatrix::Gather(int feature, std::span<const uint32_t> rows, double* to) const {
  const Column& column = At(feature);
  const auto gather = [&](const auto* from) {
    for (size_t i = 0; i < rows.size(); ++i) to[i] = static_cast<double>(from[rows[i]]);
  };
  if (column.floats.empty()) {
    gather(column.values.data());
  } else {
    gather(column.floats.data());
  }
}

}  // namespace trainyard
