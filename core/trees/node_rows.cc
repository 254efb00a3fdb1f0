#include "core/trees/node_rows.h"

#include <algorithm>
#include <cmath>

namespace trainyard {
namespace {

// Greatest total weight for which x log2 x is tabulated.
constexpr double kMaxLogTable = 1 << 24;

double XLog2X(double x) { return x > 0 ? x * std::log2(x) : 0; }

// Moves elements of `width` values each; `scratch` is reused by the calls of one thread.
template <typename T>
void PermuteArray(std::vector<T>& array, RowRange range, size_t width,
                  const uint32_t* new_position) {
  if (array.empty()) return;
  thread_local std::vector<T> scratch;
  scratch.resize(static_cast<size_t>(range.size()) * width);
  for (uint32_t i = range.begin; i < range.end; ++i) {
    const size_t to = (new_position[i] - range.begin) * width;
    for (size_t k = 0; k < width; ++k) scratch[to + k] = array[i * width + k];
  }
  std::copy(scratch.begin(), scratch.end(),
            array.begin() + static_cast<ptrdiff_t>(range.begin * width));
}

// Moves elements of `width` values each; without branches where they are single.
template <typename T>
void PartitionArray(std::vector<T>& array, RowRange range, size_t width, const uint8_t* goes_left) {
  if (array.empty()) return;
  thread_local std::vector<T> scratch;
  const size_t count = static_cast<size_t>(range.size());
  if (scratch.size() < count * width + 1) scratch.resize(count * width + 1);
  T* const from = array.data() + range.begin * width;
  T* left = from;
  T* right = scratch.data();
  for (size_t i = 0; i < count; ++i) {
    if (width == 1) {
      const T value = from[i];
      *left = value;  // never ahead of `i`, so nothing unread is lost
      *right = value;
      left += goes_left[i];
      right += 1 - goes_left[i];
    } else {
      T*& to = goes_left[i] != 0 ? left : right;
      to = std::copy_n(from + i * width, width, to);
    }
  }
  std::copy(scratch.data(), right, left);
}

}  // namespace

NodeRows::NodeRows(const TreeTarget& target, std::span<const double> weights,
                   std::span<const uint32_t> rows, v1::CartOptions::Criterion criterion)
    : target_(target), criterion_(criterion) {
  const auto takes_part = [&](uint32_t row) { return weights.empty() || weights[row] > 0; };
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(rows_), takes_part);
  const bool equal_weights = std::all_of(rows_.begin(), rows_.end(), [&](uint32_t row) {
    return weights.empty() || weights[row] == 1.0;
  });
  if (!equal_weights) {
    weights_.reserve(rows_.size());
    for (const uint32_t row : rows_) weights_.push_back(weights[row]);
  }
  CopyTargets(target);
  if (classification() && entropy()) FillLogTable();
}

void NodeRows::CopyTargets(const TreeTarget& target) {
  if (classification()) {
    classes_.reserve(rows_.size());
    for (const uint32_t row : rows_) classes_.push_back(target.classes[row]);
    return;
  }
  const size_t width = static_cast<size_t>(target.outputs);
  values_.reserve(rows_.size() * width);
  double largest = 0;
  for (const uint32_t row : rows_) {
    for (size_t k = 0; k < width; ++k) {
      values_.push_back(target.values[row * width + k]);
      largest = std::max(largest, std::abs(values_.back()));
    }
  }
  int exponent = 0;
  std::frexp(largest, &exponent);
  for (double& value : values_) value = std::ldexp(value, -exponent);
  const bool poisson = criterion_ == v1::CartOptions::CRITERION_POISSON;
  impurity_scale_ = std::ldexp(1.0, poisson ? exponent : 2 * exponent);
}

void NodeRows::FillLogTable() {
  double total = 0;
  for (uint32_t i = 0; i < count(); ++i) {
    if (WeightAt(i) != std::floor(WeightAt(i))) return;
    total += WeightAt(i);
  }
  if (total > kMaxLogTable) return;
  log_table_.reserve(static_cast<size_t>(total) + 1);
  for (double x = 0; x <= total; ++x) log_table_.push_back(XLog2X(x));
}

NodeStatistics NodeRows::Prepare(RowRange range) {
  if (classification()) return PrepareClassification(range);
  return criterion_ == v1::CartOptions::CRITERION_POISSON ? PreparePoisson(range)
                                                          : PrepareRegression(range);
}

NodeStatistics NodeRows::PrepareRegression(RowRange range) {
  const size_t width = static_cast<size_t>(target_.outputs);
  NodeStatistics statistics;
  for (uint32_t i = range.begin; i < range.end; ++i) statistics.weight += WeightAt(i);
  statistics.pure = true;
  double squares = 0;
  for (size_t k = 0; k < width; ++k) {
    double* values = values_.data() + k;
    const double first = values[range.begin * width];
    double sum = 0;
    bool equal = true;
    for (uint32_t i = range.begin; i < range.end; ++i) {
      sum += WeightAt(i) * values[i * width];
      equal = equal && values[i * width] == first;
    }
    statistics.pure = statistics.pure && equal;
    const double mean = equal ? first : sum / statistics.weight;
    for (uint32_t i = range.begin; i < range.end; ++i) {
      values[i * width] -= mean;
      squares += WeightAt(i) * values[i * width] * values[i * width];
    }
  }
  statistics.impurity = squares / statistics.weight / static_cast<double>(width) * impurity_scale_;
  return statistics;
}

NodeStatistics NodeRows::PreparePoisson(RowRange range) const {
  const size_t width = static_cast<size_t>(target_.outputs);
  NodeStatistics statistics;
  for (uint32_t i = range.begin; i < range.end; ++i) statistics.weight += WeightAt(i);
  statistics.pure = true;
  double deviance = 0;
  for (size_t k = 0; k < width; ++k) {
    const double* values = values_.data() + k;
    const double first = values[range.begin * width];
    double sum = 0;
    bool equal = true;
    for (uint32_t i = range.begin; i < range.end; ++i) {
      sum += WeightAt(i) * values[i * width];
      equal = equal && values[i * width] == first;
    }
    if (equal) continue;
    statistics.pure = false;
    const double mean = sum / statistics.weight;
    for (uint32_t i = range.begin; i < range.end; ++i) {
      const double value = values[i * width];
      if (value > 0) deviance += WeightAt(i) * value * std::log(value / mean);
    }
  }
  deviance = std::max(deviance, 0.0) / statistics.weight / static_cast<double>(width);
  statistics.impurity = deviance * impurity_scale_;
  return statistics;
}

NodeStatistics NodeRows::PrepareClassification(RowRange range) const {
  thread_local std::vector<double> counts;
  counts.assign(static_cast<size_t>(target_.outputs), 0);
  NodeStatistics statistics;
  statistics.pure = true;
  for (uint32_t i = range.begin; i < range.end; ++i) {
    counts[static_cast<size_t>(classes_[i])] += WeightAt(i);
    statistics.weight += WeightAt(i);
    statistics.pure = statistics.pure && classes_[i] == classes_[range.begin];
  }
  if (statistics.pure) return statistics;
  double impurity = entropy() ? 0 : 1;
  for (const double count : counts) {
    const double share = count / statistics.weight;
    impurity -= entropy() ? XLog2X(share) : share * share;
  }
  statistics.impurity = std::max(impurity, 0.0);
  return statistics;
}

void NodeRows::Permute(RowRange range, const uint32_t* new_position) {
  PermuteArray(rows_, range, 1, new_position);
  PermuteArray(values_, range, static_cast<size_t>(target_.outputs), new_position);
  PermuteArray(classes_, range, 1, new_position);
  PermuteArray(weights_, range, 1, new_position);
}

void NodeRows::Partition(RowRange range, const uint8_t* goes_left) {
  PartitionArray(rows_, range, 1, goes_left);
  PartitionArray(values_, range, static_cast<size_t>(target_.outputs), goes_left);
  PartitionArray(classes_, range, 1, goes_left);
  PartitionArray(weights_, range, 1, goes_left);
}

void NodeRows::AddSums(RowRange range, std::span<double> sums) const {
  const size_t width = static_cast<size_t>(target_.outputs);
  for (uint32_t i = range.begin; i < range.end; ++i) {
    const double weight = WeightAt(i);
    sums[0] += weight;
    if (classification()) {
      sums[1 + static_cast<size_t>(classes_[i])] += weight;
      continue;
    }
    for (size_t k = 0; k < width; ++k) sums[1 + k] += weight * target_.values[rows_[i] * width + k];
  }
}

}  // namespace trainyard
