#include "core/tensor/cpu/element_copy.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/cpu/strided_loop.h"

namespace trainyard {
namespace {

constexpr int64_t kGrain = 65536;

template <typename From, typename To>
void CopyRow(const From* from, int64_t from_stride, To* to, int64_t to_stride, int64_t count) {
  if (from_stride == 1 && to_stride == 1) {
    if constexpr (std::is_same_v<From, To>) {
      // Where they are the same memory, there is nothing to do.
      if (from != to) std::memcpy(to, from, static_cast<size_t>(count) * sizeof(To));
    } else {
      for (int64_t i = 0; i < count; ++i) to[i] = static_cast<To>(from[i]);
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      to[i * to_stride] = static_cast<To>(from[i * from_stride]);
    }
  }
}

template <typename From, typename To>
void CopyTyped(CpuDevice& device, const Tensor& in, const Tensor& out) {
  const std::array<const Tensor*, 2> operands = {&out, &in};
  const StridedLoop loop(operands);
  const From* const from = in.data<From>();
  To* const to = out.data<To>();
  ParallelRanges(device.threads(), loop.elements(), kGrain, [&](int64_t begin, int64_t end) {
    loop.ForRows(begin, end, [&](const auto& offsets, int64_t length) {
      CopyRow(from + offsets[1], loop.row_stride(1), to + offsets[0], loop.row_stride(0), length);
    });
  });
}

template <typename Function>
void DispatchAny(DType type, Function&& function) {
  switch (type) {
    case DType::kFloat32:
      return function.template operator()<float>();
    case DType::kFloat64:
      return function.template operator()<double>();
    case DType::kInt32:
      return function.template operator()<int32_t>();
    case DType::kUint8:
      return function.template operator()<uint8_t>();
  }
}

}  // namespace

void CopyElements(CpuDevice& device, const Tensor& in, const Tensor& out) {
  DispatchAny(in.dtype(), [&]<typename From>() {
    DispatchAny(out.dtype(), [&]<typename To>() { CopyTyped<From, To>(device, in, out); });
  });
}

void FillElements(CpuDevice& device, double value, const Tensor& out) {
  const Tensor* const operand = &out;
  const StridedLoop loop(std::span(&operand, 1));
  DispatchAny(out.dtype(), [&]<typename T>() {
    T* const to = out.data<T>();
    const T number = static_cast<T>(value);
    ParallelRanges(device.threads(), loop.elements(), kGrain, [&](int64_t begin, int64_t end) {
      loop.ForRows(begin, end, [&](const auto& offsets, int64_t length) {
        const int64_t stride = loop.row_stride(0);
        if (stride == 1) {
          std::fill_n(to + offsets[0], length, number);
        } else {
          for (int64_t i = 0; i < length; ++i) to[offsets[0] + i * stride] = number;
        }
      });
    });
  });
}

}  // namespace trainyard
