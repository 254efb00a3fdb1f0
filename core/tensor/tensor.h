// Arrays of numbers on a device.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor/device.h"
#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

namespace trainyard {

// A view of elements in shared memory of a device. Copies are cheap and show the same elements;
// memory goes back to the device's pool with the last of them. Row-major unless a view says
// otherwise: element (i, j, …) is at i * stride(0) + j * stride(1) + …, strides in elements; a
// stride of 0 repeats. All functions that take shapes or axes throw TensorError INVALID_ARGUMENT
// where these do not fit. Negative axes count from the end.
class Tensor {
 public:
  // No tensor: defined() is false and nothing else may be asked.
  Tensor() = default;

  static Tensor Empty(Device& device, const Shape& shape, DType type = DType::kFloat32);
  static Tensor Zeros(Device& device, const Shape& shape, DType type = DType::kFloat32);
  static Tensor Full(Device& device, const Shape& shape, double value,
                     DType type = DType::kFloat32);
  // Row-major values. T: float, double, int32_t or uint8_t.
  template <typename T>
  static Tensor FromValues(Device& device, const Shape& shape, std::span<const T> values);
  // A row-major tensor over memory that somebody else keeps alive and, on the host, aligned to its
  // type.
  static Tensor Borrow(Device& device, const Shape& shape, DType type, void* data);

  bool defined() const { return device_ != nullptr; }
  Device& device() const { return *device_; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t size(int axis) const { return shape_.dim(axis); }
  int64_t stride(int axis) const { return strides_[shape_.AxisOf(axis)]; }
  int64_t elements() const { return shape_.elements(); }
  size_t bytes() const { return static_cast<size_t>(elements()) * SizeOf(dtype_); }
  // Row-major without gaps. (Strides of dimensions of size 1 do not matter.)
  bool is_contiguous() const;
  // Element 0, on the device. T must be the element type (TensorError otherwise).
  template <typename T>
  T* data() const;
  void* raw_data() const { return data_; }
  // Whether two tensors share their memory's owner.
  bool SharesMemoryWith(const Tensor& other) const {
    return storage_ != nullptr && storage_ == other.storage_;
  }

  // Whether no other tensor shows this memory.
  bool IsSoleOwner() const { return storage_.use_count() == 1; }

  // Views.
  Tensor Transposed(int axis1 = -2, int axis2 = -1) const;
  // `order[i]` is the axis of this tensor that becomes axis i.
  Tensor Permuted(std::span<const int> order) const;
  Tensor Permuted(std::initializer_list<int> order) const {
    return Permuted(std::span<const int>(order.begin(), order.size()));
  }
  // Elements start, …, start + length - 1 along `axis`.
  Tensor Slice(int axis, int64_t start, int64_t length) const;
  // One element along `axis`, which is dropped.
  Tensor Select(int axis, int64_t index) const;
  // The same elements in row-major order under another shape; one size may be -1. Throws where
  // that needs a copy: CanView says so before.
  Tensor View(const Shape& shape) const;
  Tensor View(std::initializer_list<int64_t> dims) const;
  bool CanView(const Shape& shape) const;
  // Repeated along dimensions of size 1 and new leading ones, with strides of 0.
  Tensor BroadcastTo(const Shape& shape) const;
  // A dimension of size 1 before `axis`.
  Tensor Unsqueezed(int axis) const;

  // This tensor when it is contiguous, else a copy.
  Tensor Contiguous() const;
  // Contiguous copies.
  Tensor Clone() const;
  Tensor To(Device& device) const;
  Tensor To(DType type) const;
  // Overwrites the elements with those of `from`, of the same shape; types are converted.
  void CopyFrom(const Tensor& from) const;
  void Fill(double value) const;

  // All elements in row-major order, on the host; waits for the device. T: the element type.
  template <typename T>
  std::vector<T> ToVector() const;
  // The only element.
  double Item() const;

  // "float32 [2, 3] on cpu".
  std::string Description() const;

 private:
  class Storage;

  static Tensor Allocate(Device& device, const Shape& shape, DType type);
  void SetContiguousStrides();

  std::shared_ptr<Storage> storage_;  // empty for borrowed memory
  Device* device_ = nullptr;
  void* data_ = nullptr;
  Shape shape_;
  std::array<int64_t, kMaxRank> strides_{};
  DType dtype_ = DType::kFloat32;
};

// Throws TensorError INVALID_ARGUMENT "<operation>: <name> is <description>; expected <shape>"
// unless `tensor` has this shape. A size of -1 fits any.
void ExpectShape(const char* operation, const char* name, const Tensor& tensor,
                 std::initializer_list<int64_t> dims);

// Throws unless both are on one device and of one type.
void ExpectAlike(const char* operation, const Tensor& a, const Tensor& b);

// Calls `function.template operator()<float>()` or <double>(), by the type; throws for others.
template <typename Function>
decltype(auto) DispatchFloating(DType type, const char* operation, Function&& function);

}  // namespace trainyard

#include "core/tensor/tensor_inl.h"
