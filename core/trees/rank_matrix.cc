#include "core/trees/rank_matrix.h"

#include <limits>

namespace trainyard {
namespace {

template <typename T>
void Scatter(std::span<const OrderEntry> order, std::vector<T>& ranks) {
  ranks.resize(order.size());
  for (const OrderEntry& entry : order) ranks[entry.row] = static_cast<T>(entry.rank);
}

}  // namespace

RankMatrix::RankMatrix(const PresortedFeatures& features, ThreadPool& pool)
    : features_(&features), columns_(static_cast<size_t>(features.feature_count())) {
  pool.Run(features.feature_count(), [&](int64_t index, int) {
    const int feature = static_cast<int>(index);
    const std::span<const OrderEntry> order = features.order(feature);
    Column& column = columns_[static_cast<size_t>(feature)];
    column.constant = order.empty() || order.front().rank == order.back().rank;
    if (features.missing_rank(feature) <= std::numeric_limits<uint16_t>::max()) {
      Scatter(order, column.narrow);
    } else {
      Scatter(order, column.wide);
    }
  });
}

void RankMatrix::Gather(int feature, std::span<const uint32_t> rows, uint32_t* ranks) const {
  const Column& column = At(feature);
  const auto gather = [&](const auto* from) {
    for (size_t i = 0; i < rows.size(); ++i) ranks[i] = from[rows[i]];
  };
  if (column.narrow.empty()) {
    gather(column.wide.data());
  } else {
    gather(column.narrow.data());
  }
}

}  // namespace trainyard
