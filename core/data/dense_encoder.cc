#include "core/data/dense_encoder.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

using Column = v1::DenseEncoding::Column;

bool IsCategorical(const Column& column) { return column.type() == v1::COLUMN_TYPE_CATEGORICAL; }

size_t NumbersOf(const Column& column) {
  return IsCategorical(column) ? static_cast<size_t>(column.levels_size())
                               : static_cast<size_t>(column.value()) +
                                     static_cast<size_t>(column.missing_indicator());
}

// Whether values of a column of type `given` mean the same as those the encoding learned from.
bool TypesFit(v1::ColumnType learned, v1::ColumnType given) {
  const auto is_number = [](v1::ColumnType type) {
    return type == v1::COLUMN_TYPE_NUMERIC || type == v1::COLUMN_TYPE_BOOLEAN;
  };
  return learned == given || (is_number(learned) && is_number(given));
}

absl::Status CheckColumn(const Column& column) {
  const auto damaged = [&column](absl::string_view what) {
    return absl::DataLossError(absl::StrCat("the encoded column \"", column.name(), "\" ", what));
  };
  if (!v1::ColumnType_IsValid(column.type()) || column.type() == v1::COLUMN_TYPE_UNSPECIFIED) {
    return damaged("is of no known type");
  }
  if (NumbersOf(column) == 0) return damaged("has no numbers");
  if (!std::isfinite(column.mean())) return damaged("has a mean that is not finite");
  if (!IsCategorical(column)) {
    return column.levels().empty() ? absl::OkStatus() : damaged("is not categorical, with levels");
  }
  if (column.value() || column.missing_indicator()) {
    return damaged("is categorical, with a value or an indicator");
  }
  const absl::flat_hash_set<absl::string_view> levels(column.levels().begin(),
                                                      column.levels().end());
  return levels.size() == static_cast<size_t>(column.levels_size()) ? absl::OkStatus()
                                                                    : damaged("repeats a level");
}

absl::Status CheckEncoding(const v1::DenseEncoding& encoding) {
  absl::flat_hash_set<absl::string_view> names;
  size_t width = 0;
  for (const Column& column : encoding.columns()) {
    TY_RETURN_IF_ERROR(CheckColumn(column));
    if (!names.insert(column.name()).second) {
      return absl::DataLossError(
          absl::StrCat("the column \"", column.name(), "\" is encoded twice"));
    }
    width += NumbersOf(column);
  }
  if (width == 0) return absl::DataLossError("an encoding has no columns");
  const auto fits = [width](const google::protobuf::RepeatedField<double>& numbers) {
    return (numbers.empty() || static_cast<size_t>(numbers.size()) == width) &&
           std::all_of(numbers.begin(), numbers.end(), [](double x) { return std::isfinite(x); });
  };
  if (!fits(encoding.offset()) || !fits(encoding.scale()) ||
      encoding.offset_size() != encoding.scale_size() ||
      std::any_of(encoding.scale().begin(), encoding.scale().end(),
                  [](double scale) { return scale <= 0; })) {
    return absl::DataLossError(absl::StrCat("offsets and scales of an encoding must be none or ",
                                            width, " finite numbers, scales > 0"));
  }
  return absl::OkStatus();
}

}  // namespace

DenseEncoder::DenseEncoder(v1::DenseEncoding encoding) : encoding_(std::move(encoding)) {
  size_t width = 0;
  for (const Column& column : encoding_.columns()) {
    first_number_.push_back(width);
    width += NumbersOf(column);
    auto& places = level_places_.emplace_back();
    for (int place = 0; place < column.levels_size(); ++place) {
      places.emplace(column.levels(place), place);
    }
  }
  for (size_t number = 0; number < width; ++number) zero_row_.push_back(Scaled(number, 0));
}

absl::StatusOr<DenseEncoder> DenseEncoder::FromProto(v1::DenseEncoding encoding) {
  TY_RETURN_IF_ERROR(CheckEncoding(encoding));
  return DenseEncoder(std::move(encoding));
}

std::vector<std::string> DenseEncoder::NumberNames() const {
  std::vector<std::string> names;
  for (const Column& column : encoding_.columns()) {
    if (column.value()) names.push_back(column.name());
    if (column.missing_indicator()) names.push_back(absl::StrCat(column.name(), " is missing"));
    for (const std::string& level : column.levels()) {
      names.push_back(absl::StrCat(column.name(), "=", level));
    }
  }
  return names;
}

absl::StatusOr<DenseColumns> DenseEncoder::Bind(const Table& table) const {
  DenseColumns bound;
  Violations violations;
  for (int c = 0; c < encoding_.columns_size(); ++c) {
    const Column& learned = encoding_.columns(c);
    DenseColumns::Column& own = bound.columns.emplace_back();
    const std::optional<int> column = table.FindColumn(learned.name());
    if (!column.has_value()) {
      violations.Add(learned.name(), "is not in the table; the model needs this column");
      continue;
    }
    const v1::ColumnSchema& given = table.column(*column);
    if (given.missing_count() >= table.row_count()) continue;
    if (!TypesFit(learned.type(), given.type())) {
      violations.Add(learned.name(), absl::StrCat("is of type ", v1::ColumnType_Name(given.type()),
                                                  "; the model learned from ",
                                                  v1::ColumnType_Name(learned.type())));
    } else if (IsCategorical(learned)) {
      own.codes = table.codes(*column);
      const auto& places = level_places_[static_cast<size_t>(c)];
      for (const std::string& level : table.levels(*column)) {
        const auto found = places.find(level);
        own.places.push_back(found == places.end() ? -1 : found->second);
      }
    } else {
      own.numbers = table.numbers(*column);
    }
  }
  TY_RETURN_IF_ERROR(violations.ToStatus());
  return bound;
}

template <typename Real, typename RowOf>
void DenseEncoder::EncodeBlock(const DenseColumns& columns, int64_t begin, int64_t end,
                               const RowOf& row_of, Real* out, int64_t stride) const {
  for (int64_t i = begin; i < end; ++i) {
    std::transform(zero_row_.begin(), zero_row_.end(), out + i * stride,
                   [](double x) { return static_cast<Real>(x); });
  }
  for (int c = 0; c < encoding_.columns_size(); ++c) {
    const Column& learned = encoding_.columns(c);
    const DenseColumns::Column& own = columns.columns[static_cast<size_t>(c)];
    const size_t first = first_number_[static_cast<size_t>(c)];
    if (IsCategorical(learned)) {
      if (own.codes.empty()) continue;
      for (int64_t i = begin; i < end; ++i) {
        const int32_t code = own.codes[static_cast<size_t>(row_of(i))];
        const int32_t place = code < 0 ? -1 : own.places[static_cast<size_t>(code)];
        if (place < 0) continue;
        const size_t number = first + static_cast<size_t>(place);
        out[i * stride + static_cast<int64_t>(number)] = static_cast<Real>(Scaled(number, 1));
      }
      continue;
    }
    const size_t indicator = first + (learned.value() ? 1 : 0);
    for (int64_t i = begin; i < end; ++i) {
      Real* const row = out + i * stride;
      const double value = own.numbers.empty() ? NAN : own.numbers[static_cast<size_t>(row_of(i))];
      const bool missing = std::isnan(value);
      if (learned.value()) {
        row[first] = static_cast<Real>(Scaled(first, missing ? learned.mean() : value));
      }
      if (learned.missing_indicator() && missing) {
        row[indicator] = static_cast<Real>(Scaled(indicator, 1));
      }
    }
  }
}

template <typename Real, typename RowOf>
void DenseEncoder::EncodeRows(const DenseColumns& columns, int64_t count, const RowOf& row_of,
                              Real* out, int64_t stride, ThreadPool& pool) const {
  // So many rows that a block stays in the second-level cache between columns.
  const int64_t block = std::max<int64_t>((int64_t{1} << 15) / std::max<int64_t>(stride, 1), 16);
  pool.Run((count + block - 1) / block, [&](int64_t task, int) {
    EncodeBlock(columns, task * block, std::min(count, (task + 1) * block), row_of, out, stride);
  });
}

template <typename Real>
void DenseEncoder::Encode(const DenseColumns& columns, int64_t from, int64_t to, Real* out,
                          int64_t stride, ThreadPool& pool) const {
  EncodeRows(
      columns, to - from, [from](int64_t i) { return from + i; }, out, stride, pool);
}

template <typename Real>
void DenseEncoder::Encode(const DenseColumns& columns, std::span<const int64_t> rows, Real* out,
                          int64_t stride, ThreadPool& pool) const {
  EncodeRows(
      columns, static_cast<int64_t>(rows.size()),
      [rows](int64_t i) { return rows[static_cast<size_t>(i)]; }, out, stride, pool);
}

template void DenseEncoder::Encode(const DenseColumns&, int64_t, int64_t, double*, int64_t,
                                   ThreadPool&) const;
template void DenseEncoder::Encode(const DenseColumns&, int64_t, int64_t, float*, int64_t,
                                   ThreadPool&) const;
template void DenseEncoder::Encode(const DenseColumns&, std::span<const int64_t>, double*, int64_t,
                                   ThreadPool&) const;
template void DenseEncoder::Encode(const DenseColumns&, std::span<const int64_t>, float*, int64_t,
                                   ThreadPool&) const;

}  // namespace trainyard
