// The columns of the products of a gated layer, of all outputs side by side, in tiles that one pass
// of subset_sums.h works on.
#pragma once

#include <cstdint>

#include "core/algorithms/convex_relu/padded_matrix.h"
#include "core/algorithms/convex_relu/subset_sums.h"

namespace trainyard::convex_relu {

inline constexpr int kPanelColumns = 8;

// The data X as panels of eight columns: [panel][row][8], with zeros up to whole panels and up to a
// multiple of 64 rows. A pass over few columns and all rows then reads memory in order.
template <typename Real>
class DataPanels {
 public:
  explicit DataPanels(const PaddedMatrix<Real>& data);

  int64_t rows() const { return rows_; }
  int features() const { return features_; }
  int stride() const { return PaddedColumns(features_); }
  int panels() const { return stride() / kPanelColumns; }
  // Eight numbers for each row.
  const Real* panel(int index) const {
    return values_.data() + index * padded_rows_ * kPanelColumns;
  }

 private:
  int64_t rows_;
  int64_t padded_rows_;
  int features_;
  AlignedArray<Real> values_;
};

// Tiles of the columns of all outputs. A tile has one or two segments, each a panel of one output;
// what a tile lacks is zero.
template <typename Real>
class LaneTiles {
 public:
  static constexpr int kLanes = kTileLanes<Real>;
  static constexpr int kSegments = kLanes / kPanelColumns;

  LaneTiles(const DataPanels<Real>& data, int outputs) : data_(data), outputs_(outputs) {}

  int64_t count() const { return (segments() + kSegments - 1) / kSegments; }
  int64_t first_output(int64_t tile) const { return tile * kSegments / data_.panels(); }
  int64_t last_output(int64_t tile) const {
    const int64_t end = (tile + 1) * kSegments;
    return ((end < segments() ? end : segments()) - 1) / data_.panels();
  }

  // vectors[k] = the tile of weights^o_i, i = patterns[k] or k + `begin` where `patterns` is null,
  // for k in [0, count). `total` patterns in all.
  void StageWeights(int64_t tile, const Real* weights, int64_t total, const int64_t* patterns,
                    int64_t begin, int count, Real* vectors) const;

  // vectors[k] = the tile of residuals^o_j x_j, j = begin + k, for k in [0, count).
  void StageRows(int64_t tile, const Real* residuals, int64_t begin, int count,
                 Real* vectors) const;

  // dots[(o - first_output) * dots_stride + k] += the part of tile . x_j in output o, for the tiles
  // sums[k] and rows j = begin + k, k in [0, count). `count` is a multiple of 8, rows beyond the
  // last included.
  void AddDots(int64_t tile, const Real* sums, int64_t begin, int64_t count, double* dots,
               int64_t dots_stride) const;

  // gradient^o_i = sums[k], i = begin + k.
  void StoreGradient(int64_t tile, const Real* sums, int64_t begin, int64_t count, int64_t total,
                     Real* gradient) const;

  // squares[(o - first_output) * squares_stride + k] += ||the part of sums[k] in output o||^2.
  void AddSquares(int64_t tile, const Real* sums, int64_t count, double* squares,
                  int64_t squares_stride) const;

 private:
  struct Segment {
    int64_t output;
    int panel;
    int lane;  // its first in the tile
  };

  int64_t segments() const { return static_cast<int64_t>(outputs_) * data_.panels(); }

  // Calls `action` for each segment of a tile.
  template <typename Action>
  void ForEach(int64_t tile, const Action& action) const {
    for (int s = 0; s < kSegments; ++s) {
      const int64_t index = tile * kSegments + s;
      if (index >= segments()) return;
      action(Segment{index / data_.panels(), static_cast<int>(index % data_.panels()),
                     s * kPanelColumns});
    }
  }

  const DataPanels<Real>& data_;
  int outputs_;
};

}  // namespace trainyard::convex_relu
