// Dense matrices whose rows begin on cache lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>

namespace trainyard::convex_relu {

// Numbers that begin on a cache line, zero at first. Movable.
template <typename Real>
class AlignedArray {
 public:
  static constexpr size_t kAlignment = 64;

  AlignedArray() = default;
  explicit AlignedArray(int64_t size) : size_(size) {
    if (size == 0) return;
    const size_t bytes = static_cast<size_t>(size) * sizeof(Real);
    const size_t whole = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    data_.reset(static_cast<Real*>(std::aligned_alloc(kAlignment, whole)));
    if (data_ == nullptr) throw std::bad_alloc();
    std::memset(data_.get(), 0, whole);
  }

  int64_t size() const { return size_; }
  Real* data() { return data_.get(); }
  const Real* data() const { return data_.get(); }
  Real& operator[](int64_t i) { return data_.get()[i]; }
  Real operator[](int64_t i) const { return data_.get()[i]; }
  std::span<Real> span() { return {data_.get(), static_cast<size_t>(size_)}; }
  std::span<const Real> span() const { return {data_.get(), static_cast<size_t>(size_)}; }

 private:
  struct Free {
    void operator()(Real* data) const { std::free(data); }
  };
  std::unique_ptr<Real, Free> data_;
  int64_t size_ = 0;
};

// Elements of a padded row of `columns` numbers: the next multiple of 8.
constexpr int PaddedColumns(int columns) { return (columns + 7) / 8 * 8; }

// Row-major; every row is followed by zeros up to `stride()` = PaddedColumns(columns()).
template <typename Real>
class PaddedMatrix {
 public:
  PaddedMatrix() = default;
  PaddedMatrix(int64_t rows, int columns)
      : rows_(rows), columns_(columns), values_(rows * PaddedColumns(columns)) {}

  int64_t rows() const { return rows_; }
  int columns() const { return columns_; }
  int stride() const { return PaddedColumns(columns_); }
  Real* row(int64_t index) { return values_.data() + index * stride(); }
  const Real* row(int64_t index) const { return values_.data() + index * stride(); }
  Real* data() { return values_.data(); }
  const Real* data() const { return values_.data(); }

 private:
  int64_t rows_ = 0;
  int columns_ = 0;
  AlignedArray<Real> values_;
};

}  // namespace trainyard::convex_relu
