// Sizes of the dimensions of a tensor.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace trainyard {

inline constexpr int kMaxRank = 6;

// Up to kMaxRank dimensions, each >= 0. Rank 0 is a scalar of one element.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  // Negative indices count from the end. Throws TensorError where there is no such dimension.
  int64_t dim(int index) const { return dims_[AxisOf(index)]; }
  int64_t operator[](int index) const { return dims_[AxisOf(index)]; }
  void set_dim(int index, int64_t size) { dims_[AxisOf(index)] = size; }
  // `index` as a number from 0; throws TensorError where there is no such dimension.
  int AxisOf(int index) const;
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }
  // Product of all sizes.
  int64_t elements() const;

  Shape WithDim(int index, int64_t size) const;
  Shape WithoutDim(int index) const;
  // A new dimension before `index` (rank() allowed: behind the last).
  Shape WithInserted(int index, int64_t size) const;
  Shape WithAppended(int64_t size) const { return WithInserted(rank_, size); }

  friend bool operator==(const Shape& a, const Shape& b);

  // "[2, 3]".
  std::string ToString() const;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

// The shape that NumPy's rule of broadcasting gives; throws TensorError naming `operation` and both
// shapes where there is none.
Shape BroadcastShapes(const char* operation, const Shape& a, const Shape& b);

}  // namespace trainyard
