#include "core/algorithms/convex_relu/gates.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/algorithms/convex_relu/bit_transpose.h"
#include "core/algorithms/convex_relu/distinct_columns.h"
#include "core/algorithms/convex_relu/gate_values.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

// Gates whose values are computed together: the data are read once for each batch.
constexpr int64_t kBatch = 128;
constexpr int64_t kGroupsOfBatch = kBatch / kGateGroup;

// Up to kBatch gates and their patterns. Takes its memory at first: threads of the pool must not
// run out of it.
class GateBatch {
 public:
  GateBatch(const PaddedMatrix<double>& data, const GateOptions& options, ThreadPool& pool)
      : data_(data),
        options_(options),
        pool_(pool),
        gates_(kBatch, data.columns()),
        values_(kGroupsOfBatch * data.rows() * kGateGroup),
        columns_(kBatch * BitBlocks(data.rows())) {
    if (options.active_proportion.has_value()) {
      sorted_.assign(static_cast<size_t>(pool.threads()),
                     std::vector<double>(static_cast<size_t>(data.rows())));
    }
    for (Packed& packed : packed_) {
      packed.columns.reserve(static_cast<size_t>(data.columns()));
      packed.coordinates = AlignedArray<double>(int64_t{data.columns()} * kGateGroup);
    }
  }

  // Takes gates [begin, begin + count) of `source`.
  void Load(const GateSource& source, int64_t begin, int64_t count) {
    groups_ = (count + kGateGroup - 1) / kGateGroup;
    pool_.Run(groups_, [&](int64_t group, int) {
      for (int64_t g = group * kGateGroup; g < (group + 1) * kGateGroup; ++g) {
        const std::span<double> gate(gates_.row(g), static_cast<size_t>(data_.columns()));
        std::fill(gate.begin(), gate.end(), 0.0);
        if (g < count) source.Sample(begin + g, gate);
      }
      Pack(group);
    });
    pool_.Run(BitBlocks(data_.rows()), [&](int64_t block, int) { Multiply(block); });
    if (options_.active_proportion.has_value()) {
      pool_.Run(count,
                [&](int64_t g, int thread) { SetBias(g, sorted_[static_cast<size_t>(thread)]); });
    }
    pool_.Run(BitBlocks(data_.rows()), [&](int64_t block, int) { TakeSigns(block); });
  }

  const double* gate(int64_t index) const { return gates_.row(index); }
  const uint64_t* column(int64_t index) const {
    return columns_.data() + index * BitBlocks(data_.rows());
  }

 private:
  struct Packed {
    AlignedArray<double> coordinates;
    std::vector<int> columns;
  };

  void Pack(int64_t group) {
    Packed& packed = packed_[group];
    packed.columns.clear();
    for (int column = 0; column < data_.columns(); ++column) {
      double* const to =
          packed.coordinates.data() + static_cast<int64_t>(packed.columns.size()) * kGateGroup;
      bool zero = true;
      for (int g = 0; g < kGateGroup; ++g) {
        to[g] = gates_.row(group * kGateGroup + g)[column];
        zero = zero && to[g] == 0;
      }
      if (!zero) packed.columns.push_back(column);
    }
  }

  double* Values(int64_t group, int64_t row) {
    return values_.data() + (group * data_.rows() + row) * kGateGroup;
  }

  void Multiply(int64_t block) {
    const int64_t begin = 64 * block;
    const int64_t count = std::min<int64_t>(64, data_.rows() - begin);
    for (int64_t group = 0; group < groups_; ++group) {
      const Packed& packed = packed_[group];
      const GateGroup gates = {packed.coordinates.data(), packed.columns.data(),
                               static_cast<int>(packed.columns.size())};
      multiply_(gates, data_.row(begin), data_.stride(), count, Values(group, begin));
    }
  }

  // The threshold midway between the values of the last row that is active and the next.
  void SetBias(int64_t g, std::vector<double>& sorted) {
    const int64_t n = data_.rows();
    if (n < 2) return;
    const int last = data_.columns() - 1;
    double* const values = Values(g / kGateGroup, 0) + g % kGateGroup;
    for (int64_t row = 0; row < n; ++row) {
      sorted[static_cast<size_t>(row)] = values[row * kGateGroup];
    }
    const auto active = std::clamp<int64_t>(
        std::llround(*options_.active_proportion * static_cast<double>(n)), 1, n - 1);
    const auto next = sorted.begin() + (n - active);
    std::nth_element(sorted.begin(), next, sorted.end());
    const double below = *std::max_element(sorted.begin(), next);
    const double threshold = below + (*next - below) / 2;
    const double bias = data_.row(0)[last];
    const double coordinate = -threshold / bias;
    // As the product would have been with this coordinate, its last.
    for (int64_t row = 0; row < n; ++row) {
      values[row * kGateGroup] = std::fma(bias, coordinate, values[row * kGateGroup]);
    }
    gates_.row(g)[last] = coordinate;
  }

  void TakeSigns(int64_t block) {
    const int64_t begin = 64 * block;
    const int64_t count = std::min<int64_t>(64, data_.rows() - begin);
    const int64_t words = BitBlocks(data_.rows());
    for (int64_t group = 0; group < groups_; ++group) {
      uint64_t signs[64] = {};
      for (int64_t row = 0; row < count; ++row) {
        const double* const values = Values(group, begin + row);
        for (int g = 0; g < kGateGroup; ++g) {
          signs[row] |= static_cast<uint64_t>(values[g] > 0 ? 1 : 0) << g;
        }
      }
      TransposeBits(signs);
      for (int g = 0; g < kGateGroup; ++g) {
        columns_[(group * kGateGroup + g) * words + block] = signs[g];
      }
    }
  }

  const PaddedMatrix<double>& data_;
  const GateOptions& options_;
  ThreadPool& pool_;
  const GateValueFunction multiply_ = GateValues(options_.instruction_set);
  PaddedMatrix<double> gates_;
  int64_t groups_ = 0;
  Packed packed_[kGroupsOfBatch];
  std::vector<std::vector<double>> sorted_;  // by thread: the values of a gate
  AlignedArray<double> values_;              // [group][row][gate of the group]
  AlignedArray<uint64_t> columns_;           // [gate][block of rows]
};

absl::Status CheckOptions(const PaddedMatrix<double>& data, const GateOptions& options) {
  if (!options.active_proportion.has_value()) return absl::OkStatus();
  if (!(*options.active_proportion > 0 && *options.active_proportion < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the active proportion of gates must be above 0 and below 1 but is ",
                     *options.active_proportion));
  }
  return CheckBiasColumn(data);
}

}  // namespace

absl::StatusOr<GatePatterns> FindPatterns(const PaddedMatrix<double>& data,
                                          const GateSource& source, const GateOptions& options,
                                          ThreadPool& pool,
                                          const std::function<absl::Status()>& check) {
  TY_RETURN_IF_ERROR(CheckOptions(data, options));
  GatePatterns found;
  found.sampled = source.count();
  DistinctColumns distinct(data.rows());
  std::vector<double> kept;
  GateBatch batch(data, options, pool);
  for (int64_t begin = 0; begin < found.sampled; begin += kBatch) {
    if (check) TY_RETURN_IF_ERROR(check());
    const int64_t count = std::min(kBatch, found.sampled - begin);
    batch.Load(source, begin, count);
    for (int64_t g = 0; g < count; ++g) {
      if (!distinct.Insert(batch.column(g))) continue;
      found.positions.push_back(begin + g);
      kept.insert(kept.end(), batch.gate(g), batch.gate(g) + data.columns());
    }
  }
  found.patterns = BitMatrix(data.rows(), distinct.bits(), pool);
  found.gates = PaddedMatrix<double>(found.count(), data.columns());
  for (int64_t p = 0; p < found.count(); ++p) {
    std::copy_n(kept.begin() + p * data.columns(), data.columns(), found.gates.row(p));
  }
  return found;
}

}  // namespace trainyard::convex_relu
