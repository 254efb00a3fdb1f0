// Columns of a table as dense rows of numbers, for models that multiply and add.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "core/data/interruptible.h"
#include "core/data/table.h"
#include "trainyard/v1/dense_model.pb.h"

namespace trainyard {

struct DenseEncoderOptions {
  // Whether a column that is not categorical and lacks values in some training rows gets a second
  // number, 1 where the value is missing.
  bool missing_indicators = true;
  // Whether every number gets mean 0 and variance 1 over the training rows, by their weights.
  bool standardize = false;
  // Most levels of a categorical column among the training rows.
  int max_levels = 1000;
};

// Most numbers that an encoding of these columns of a table can have, by its schema.
int64_t LargestDenseWidth(const v1::TableSchema& schema, std::span<const int> columns,
                          const DenseEncoderOptions& options);

// The columns of one table in the order of an encoding. They point into the table, which must
// outlive them.
struct DenseColumns {
  struct Column {
    // Of columns that are not categorical; empty where all values are missing.
    std::span<const double> numbers;
    // Of categorical columns, likewise.
    std::span<const int32_t> codes;
    // The table's level codes as places among the encoding's levels, -1 for others.
    std::vector<int32_t> places;
  };
  std::vector<Column> columns;
};

// What a v1::DenseEncoding says, done. A number, boolean (0 or 1) or date (seconds since 1970) is a
// number, the training mean where it is missing; a category is one number for each level of the
// training rows, 1 for the row's level, and all 0 for a missing or unknown one. Immutable and
// thread-safe.
class DenseEncoder {
 public:
  // Learns from `rows` of the table, weighted by `weights`, > 0 (one per row; empty: 1). What is
  // the same in all of them is left out. INVALID_ARGUMENT with a violation for each column with too
  // many levels or with a value beyond ±1e145, or when nothing varies; else what `check` says.
  static absl::StatusOr<DenseEncoder> Learn(const Table& table, std::span<const int> columns,
                                            std::span<const int64_t> rows,
                                            std::span<const double> weights,
                                            const DenseEncoderOptions& options,
                                            const GoOnCheck& check);

  // DATA_LOSS when the encoding breaks a rule of the message: repeated or empty columns or levels,
  // unknown types, lists of wrong length, numbers that are not finite, scales that are not
  // positive.
  static absl::StatusOr<DenseEncoder> FromProto(v1::DenseEncoding encoding);

  const v1::DenseEncoding& encoding() const { return encoding_; }
  // Numbers in a row, at least 1.
  int width() const { return static_cast<int>(zero_row_.size()); }
  // For people: `age`, `age is missing`, `colour=red`.
  std::vector<std::string> NumberNames() const;

  // Finds columns by name and levels by text. Columns without any value fit every type.
  // INVALID_ARGUMENT with a violation for each column that is absent or of another type.
  absl::StatusOr<DenseColumns> Bind(const Table& table) const;

  // Rows [from, to) of the table, or the rows given, row-major and `stride` >= width() apart; what
  // lies between a row's end and the next row is left alone. Real is double or float, to which the
  // numbers are rounded last. Values of the table are not checked: infinite ones stay infinite.
  template <typename Real>
  void Encode(const DenseColumns& columns, int64_t from, int64_t to, Real* out, int64_t stride,
              ThreadPool& pool) const;
  template <typename Real>
  void Encode(const DenseColumns& columns, std::span<const int64_t> rows, Real* out, int64_t stride,
              ThreadPool& pool) const;

 private:
  explicit DenseEncoder(v1::DenseEncoding encoding);

  // A raw number as it stands in the row.
  double Scaled(size_t number, double raw) const {
    return encoding_.scale().empty() ? raw
                                     : (raw - encoding_.offset(static_cast<int>(number))) /
                                           encoding_.scale(static_cast<int>(number));
  }
  template <typename Real, typename RowOf>
  void EncodeBlock(const DenseColumns& columns, int64_t begin, int64_t end, const RowOf& row_of,
                   Real* out, int64_t stride) const;
  template <typename Real, typename RowOf>
  void EncodeRows(const DenseColumns& columns, int64_t count, const RowOf& row_of, Real* out,
                  int64_t stride, ThreadPool& pool) const;

  v1::DenseEncoding encoding_;
  std::vector<size_t> first_number_;  // of each column
  std::vector<double> zero_row_;      // raw zeros, scaled
  std::vector<absl::flat_hash_map<std::string, int32_t>> level_places_;
};

}  // namespace trainyard
