#include "core/tensor/tensor.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/tensor/kernels/elementwise_kernels.h"

namespace trainyard {

const char* NameOf(DType type) {
  switch (type) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat64:
      return "float64";
    case DType::kInt32:
      return "int32";
    case DType::kUint8:
      return "uint8";
  }
  return "?";
}

class Tensor::Storage {
 public:
  Storage(Device& device, size_t bytes) : pool_(device.memory()), data_(pool_.Allocate(bytes)) {}
  ~Storage() { pool_.Free(data_); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  void* data() const { return data_; }

 private:
  MemoryPool& pool_;
  void* const data_;
};

Tensor Tensor::Allocate(Device& device, const Shape& shape, DType type) {
  Tensor result;
  result.device_ = &device;
  result.dtype_ = type;
  result.shape_ = shape;
  result.SetContiguousStrides();
  result.storage_ = std::make_shared<Storage>(device, result.bytes());
  result.data_ = result.storage_->data();
  return result;
}

Tensor Tensor::Empty(Device& device, const Shape& shape, DType type) {
  return Allocate(device, shape, type);
}

Tensor Tensor::Zeros(Device& device, const Shape& shape, DType type) {
  return Full(device, shape, 0, type);
}

Tensor Tensor::Full(Device& device, const Shape& shape, double value, DType type) {
  Tensor result = Allocate(device, shape, type);
  result.Fill(value);
  return result;
}

Tensor Tensor::Borrow(Device& device, const Shape& shape, DType type, void* data) {
  Tensor result;
  result.device_ = &device;
  result.dtype_ = type;
  result.shape_ = shape;
  result.SetContiguousStrides();
  result.data_ = data;
  return result;
}

void Tensor::SetContiguousStrides() {
  int64_t stride = 1;
  for (int axis = rank() - 1; axis >= 0; --axis) {
    strides_[axis] = stride;
    stride *= shape_[axis];
  }
}

bool Tensor::is_contiguous() const {
  int64_t stride = 1;
  for (int axis = rank() - 1; axis >= 0; --axis) {
    if (shape_[axis] != 1 && strides_[axis] != stride) return elements() == 0;
    stride *= shape_[axis];
  }
  return true;
}

Tensor Tensor::Transposed(int axis1, int axis2) const {
  const int first = shape_.AxisOf(axis1);
  const int second = shape_.AxisOf(axis2);
  Tensor result = *this;
  result.shape_.set_dim(first, shape_[second]);
  result.shape_.set_dim(second, shape_[first]);
  std::swap(result.strides_[first], result.strides_[second]);
  return result;
}

Tensor Tensor::Permuted(std::span<const int> order) const {
  std::array<bool, kMaxRank> seen{};
  if (static_cast<int>(order.size()) != rank()) {
    ThrowInvalidTensor("permute: ", order.size(), " axes for ", Description());
  }
  Tensor result = *this;
  for (int i = 0; i < rank(); ++i) {
    const int axis = shape_.AxisOf(order[i]);
    if (std::exchange(seen[axis], true)) {
      ThrowInvalidTensor("permute: axis ", axis, " named twice for ", Description());
    }
    result.shape_.set_dim(i, shape_[axis]);
    result.strides_[i] = strides_[axis];
  }
  return result;
}

Tensor Tensor::Slice(int axis, int64_t start, int64_t length) const {
  const int which = shape_.AxisOf(axis);
  if (start < 0 || length < 0 || start + length > shape_[which]) {
    ThrowInvalidTensor("slice: elements ", start, " to ", start + length, " of axis ", which,
                       " of ", Description());
  }
  Tensor result = *this;
  result.shape_.set_dim(which, length);
  if (data_ != nullptr) {
    result.data_ = static_cast<std::byte*>(data_) +
                   start * strides_[which] * static_cast<int64_t>(SizeOf(dtype_));
  }
  return result;
}

Tensor Tensor::Select(int axis, int64_t index) const {
  const int which = shape_.AxisOf(axis);
  Tensor result = Slice(which, index, 1);
  result.shape_ = result.shape_.WithoutDim(which);
  std::copy(strides_.begin() + which + 1, strides_.end(), result.strides_.begin() + which);
  return result;
}

namespace {

// Strides that show `tensor`'s elements in row-major order as `shape`; false where a copy is
// needed.
bool FindViewStrides(const Tensor& tensor, const Shape& shape,
                     std::array<int64_t, kMaxRank>& strides) {
  int axis = tensor.rank() - 1;
  int target = shape.rank() - 1;
  while (axis >= 0) {
    // The longest run of old dimensions that lies in memory like one.
    int64_t run = tensor.size(axis);
    const int64_t innermost = tensor.stride(axis);
    int64_t stride_above = innermost * tensor.size(axis);
    --axis;
    while (axis >= 0 && (tensor.size(axis) == 1 || tensor.stride(axis) == stride_above)) {
      run *= tensor.size(axis);
      stride_above *= tensor.size(axis);
      --axis;
    }
    int64_t covered = 1;
    int64_t stride = innermost;
    while (target >= 0 && covered * shape[target] <= run && (covered < run || shape[target] == 1)) {
      strides[target] = stride;
      stride *= shape[target];
      covered *= shape[target];
      --target;
    }
    if (covered != run) return false;
  }
  for (; target >= 0; --target) strides[target] = 1;
  return true;
}

Shape WithSizeInferred(const Tensor& tensor, std::span<const int64_t> dims) {
  int64_t known = 1;
  int unknown = -1;
  std::array<int64_t, kMaxRank> sizes{};
  for (size_t i = 0; i < dims.size() && i < kMaxRank; ++i) {
    sizes[i] = dims[i];
    if (dims[i] == -1) {
      unknown = static_cast<int>(i);
    } else {
      known *= dims[i];
    }
  }
  if (unknown >= 0) sizes[unknown] = known == 0 ? 0 : tensor.elements() / known;
  return Shape(std::span<const int64_t>(sizes.data(), dims.size()));
}

}  // namespace

bool Tensor::CanView(const Shape& shape) const {
  std::array<int64_t, kMaxRank> strides{};
  return shape.elements() == elements() &&
         (elements() == 0 || FindViewStrides(*this, shape, strides));
}

Tensor Tensor::View(const Shape& shape) const {
  Tensor result = *this;
  result.shape_ = shape;
  if (shape.elements() != elements() ||
      (elements() != 0 && !FindViewStrides(*this, shape, result.strides_))) {
    ThrowInvalidTensor("view: ", Description(), " cannot be seen as ", shape.ToString());
  }
  if (elements() == 0) result.SetContiguousStrides();
  return result;
}

Tensor Tensor::View(std::initializer_list<int64_t> dims) const {
  return View(WithSizeInferred(*this, {dims.begin(), dims.size()}));
}

Tensor Tensor::BroadcastTo(const Shape& shape) const {
  Tensor result = *this;
  result.shape_ = shape;
  for (int i = 1; i <= shape.rank(); ++i) {
    if (i > rank() || (size(-i) == 1 && shape[-i] != 1)) {
      result.strides_[shape.rank() - i] = 0;
    } else if (size(-i) == shape[-i]) {
      result.strides_[shape.rank() - i] = stride(-i);
    } else {
      ThrowInvalidTensor("broadcast: ", Description(), " does not fit ", shape.ToString());
    }
  }
  if (shape.rank() < rank()) {
    ThrowInvalidTensor("broadcast: ", Description(), " does not fit ", shape.ToString());
  }
  return result;
}

Tensor Tensor::Unsqueezed(int axis) const {
  const int which = axis < 0 ? axis + rank() + 1 : axis;
  Tensor result = *this;
  result.shape_ = shape_.WithInserted(which, 1);
  std::copy_backward(strides_.begin() + which, strides_.begin() + rank(),
                     result.strides_.begin() + rank() + 1);
  result.strides_[which] = 1;
  return result;
}

Tensor Tensor::Contiguous() const { return is_contiguous() ? *this : Clone(); }

Tensor Tensor::Clone() const {
  Tensor result = Empty(*device_, shape_, dtype_);
  result.CopyFrom(*this);
  return result;
}

Tensor Tensor::To(Device& device) const {
  const Tensor whole = Contiguous();
  Tensor result = Empty(device, shape_, dtype_);
  if (device_->is_host()) {
    device.CopyFromHost(result.data_, whole.data_, bytes());
  } else if (device.is_host()) {
    device_->CopyToHost(result.data_, whole.data_, bytes());
  } else {
    std::vector<std::byte> buffer(bytes());
    device_->CopyToHost(buffer.data(), whole.data_, bytes());
    device.CopyFromHost(result.data_, buffer.data(), bytes());
  }
  return result;
}

Tensor Tensor::To(DType type) const {
  Tensor result = Empty(*device_, shape_, type);
  result.CopyFrom(*this);
  return result;
}

void Tensor::CopyFrom(const Tensor& from) const {
  if (from.shape() != shape_ || &from.device() != device_) {
    ThrowInvalidTensor("copy: from ", from.Description(), " to ", Description());
  }
  if (elements() > 0) device_->elementwise().Copy(from, *this);
}

void Tensor::Fill(double value) const {
  if (elements() > 0) device_->elementwise().Fill(value, *this);
}

double Tensor::Item() const {
  if (elements() != 1) ThrowInvalidTensor("item: ", Description(), " has not one element");
  switch (dtype_) {
    case DType::kFloat32:
      return ToVector<float>()[0];
    case DType::kFloat64:
      return ToVector<double>()[0];
    case DType::kInt32:
      return ToVector<int32_t>()[0];
    case DType::kUint8:
      return ToVector<uint8_t>()[0];
  }
  return 0;
}

std::string Tensor::Description() const {
  if (!defined()) return "no tensor";
  return absl::StrCat(NameOf(dtype_), " ", shape_.ToString(), " on ", device_->name());
}

void ExpectShape(const char* operation, const char* name, const Tensor& tensor,
                 std::initializer_list<int64_t> dims) {
  bool fits = tensor.defined() && tensor.rank() == static_cast<int>(dims.size());
  for (int i = 0; fits && i < tensor.rank(); ++i) {
    const int64_t wanted = dims.begin()[i];
    fits = wanted == -1 || wanted == tensor.size(i);
  }
  if (fits) return;
  std::string expected;
  for (const int64_t wanted : dims) {
    absl::StrAppend(&expected, expected.empty() ? "[" : ", ",
                    wanted == -1 ? "any" : absl::StrCat(wanted));
  }
  ThrowInvalidTensor(operation, ": ", name, " is ", tensor.Description(), "; expected ",
                     expected.empty() ? "[" : expected, "]");
}

void ExpectAlike(const char* operation, const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined() || &a.device() != &b.device() || a.dtype() != b.dtype()) {
    ThrowInvalidTensor(operation, ": ", a.Description(), " and ", b.Description(),
                       " are not of one type on one device");
  }
}

}  // namespace trainyard
