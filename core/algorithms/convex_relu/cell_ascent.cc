#include "core/algorithms/convex_relu/cell_ascent.h"

#include <algorithm>

#include "core/algorithms/convex_relu/bit_matrix.h"
#include "core/algorithms/convex_relu/pattern_bits.h"

namespace trainyard::convex_relu {
namespace {

// A maximum that rises by less than this share has come to rounding.
constexpr double kLeastRise = 1e-12;

}  // namespace

CellAscent::CellAscent(const ConeRows& rows)
    : rows_(rows),
      projector_(rows),
      gradient_(Eigen::VectorXd::Zero(rows.stride())),
      point_(Eigen::VectorXd::Zero(rows.stride())),
      products_(rows.rows()) {}

void CellAscent::Gradient(const double* slopes, int sign, const uint64_t* pattern) {
  gradient_.setZero();
  for (int64_t j = 0; j < rows_.rows(); ++j) {
    if (!IsActive(pattern, j)) continue;
    gradient_ -= sign * slopes[j] * Eigen::Map<const Eigen::VectorXd>(rows_.row(j), rows_.stride());
  }
}

CellMaximum CellAscent::Climb(const double* slopes, int sign, const double* gate, int most,
                              const std::function<bool()>& stopped) {
  CellMaximum best;
  std::vector<uint64_t> pattern(static_cast<size_t>(BitBlocks(rows_.rows())));
  std::copy_n(gate, rows_.stride(), point_.data());
  rows_.Multiply(point_.data(), products_.data());
  for (int64_t j = 0; j < rows_.rows(); ++j) {
    if (products_[j] > 0) pattern[static_cast<size_t>(j / 64)] |= uint64_t{1} << (j % 64);
  }
  ActiveRows active;
  for (int cell = 0; cell < most && !stopped(); ++cell) {
    Gradient(slopes, sign, pattern.data());
    const double norm = projector_.Project(pattern.data(), gradient_.data(), active, point_.data());
    if (norm <= best.value * (1 + kLeastRise)) break;
    best.value = norm;
    best.vector.assign(point_.begin(), point_.end());
    for (double& entry : best.vector) entry /= norm;
    best.pattern = pattern;
    ActiveRows kept;
    for (size_t k = 0; k < active.rows.size(); ++k) {
      const int32_t row = active.rows[k];
      if (active.multipliers[k] > sign * slopes[row]) {
        pattern[static_cast<size_t>(row / 64)] ^= uint64_t{1} << (row % 64);
      } else {
        kept.rows.push_back(row);
        kept.multipliers.push_back(active.multipliers[k]);
      }
    }
    if (kept.rows.size() == active.rows.size()) break;
    active = std::move(kept);
  }
  return best;
}

}  // namespace trainyard::convex_relu
