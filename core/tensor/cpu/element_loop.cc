#include "core/tensor/cpu/element_loop.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/cpu/strided_loop.h"

namespace trainyard {
namespace {

constexpr int64_t kPackLength = 512;
// Rows below this are packed together.
constexpr int64_t kShortRow = 64;

using Offsets = std::array<int64_t, StridedLoop::kMaxOperands>;

template <typename T>
void Gather(const T* from, int64_t stride, int64_t count, T* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[i * stride];
}

template <typename T>
void Scatter(const T* from, int64_t count, T* to, int64_t stride) {
  for (int64_t i = 0; i < count; ++i) to[i * stride] = from[i];
}

// One range of the loop, on one thread.
template <typename T>
class RangeRunner {
 public:
  RangeRunner(const ElementCall<T>& call, const StridedLoop& loop, bool streams)
      : call_(call), loop_(loop), streams_(streams) {
    outputs_ = static_cast<int>(call.outputs.size());
    operands_ = outputs_ + static_cast<int>(call.inputs.size());
    for (int i = 0; i < operands_; ++i) {
      const Tensor& tensor = i < outputs_ ? *call.outputs[i] : *call.inputs[i - outputs_];
      base_[i] = tensor.defined() ? tensor.data<T>() : nullptr;
    }
    block_.accumulate = call.accumulate;
    block_.scale = call.scale;
    block_.shift = call.shift;
  }

  bool AllLinear() const {
    for (int i = 0; i < operands_; ++i) {
      if (base_[i] != nullptr && !loop_.is_linear(i)) return false;
    }
    return true;
  }

  void RunLinear(int64_t begin, int64_t end) {
    for (int i = 0; i < operands_; ++i)
      SetPointer(i, base_[i] == nullptr ? nullptr : base_[i] + begin);
    block_.count = end - begin;
    block_.stream = MayStream();
    call_.function(block_);
  }

  // Rows that are long: operands with a stride of 1 are used where they are.
  void RunRow(const Offsets& offsets, int64_t length) {
    bool buffered = false;
    block_.repeated = 0;
    for (int i = 0; i < operands_; ++i) {
      if (base_[i] == nullptr) continue;
      if (i >= outputs_ && call_.repeats && loop_.row_stride(i) == 0) {
        block_.repeated |= 1U << (i - outputs_);
      } else if (loop_.row_stride(i) != 1) {
        buffered = true;
      }
    }
    const int64_t step = buffered ? kPackLength : length;
    for (int64_t at = 0; at < length; at += step) {
      block_.count = std::min(step, length - at);
      for (int i = 0; i < operands_; ++i) LoadRow(i, base_[i] + offsets[i], at);
      block_.stream = !buffered && MayStream();
      call_.function(block_);
      for (int i = 0; i < outputs_; ++i) {
        const int64_t stride = loop_.row_stride(i);
        if (base_[i] == nullptr || stride == 1) continue;
        Scatter(buffers_[i].data(), block_.count, base_[i] + offsets[i] + at * stride, stride);
      }
    }
  }

  // Rows that are short: operands are packed unless they lie in memory in the order of the loop.
  void RunPacked(int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at += kPackLength) {
      const int64_t until = std::min(end, at + kPackLength);
      Pack(at, until);
      block_.count = until - at;
      call_.function(block_);
      Unpack(at, until);
    }
  }

 private:
  bool IsPacked(int i) const { return base_[i] != nullptr && !loop_.is_linear(i); }

  bool MayStream() const {
    if (!streams_) return false;
    for (const T* out : block_.out) {
      if (reinterpret_cast<uintptr_t>(out) % 64 != 0) return false;
    }
    return true;
  }

  void SetPointer(int operand, T* pointer) {
    if (operand < outputs_) {
      block_.out[operand] = pointer;
    } else {
      block_.in[operand - outputs_] = pointer;
    }
  }

  void LoadRow(int i, T* row, int64_t at) {
    if (base_[i] == nullptr) return SetPointer(i, nullptr);
    const int64_t stride = loop_.row_stride(i);
    const bool repeated = i >= outputs_ && (block_.repeated >> (i - outputs_) & 1U) != 0;
    if (stride == 1 || repeated) return SetPointer(i, row + at * stride);
    SetPointer(i, buffers_[i].data());
    if (i >= outputs_ || block_.accumulate) {
      Gather(row + at * stride, stride, block_.count, buffers_[i].data());
    }
  }

  void Pack(int64_t begin, int64_t end) {
    for (int i = 0; i < operands_; ++i) {
      if (base_[i] == nullptr) {
        SetPointer(i, nullptr);
      } else if (loop_.is_linear(i)) {
        SetPointer(i, base_[i] + begin);
      } else {
        SetPointer(i, buffers_[i].data());
      }
    }
    int64_t filled = 0;
    loop_.ForRows(begin, end, [&](const Offsets& offsets, int64_t length) {
      for (int i = block_.accumulate ? 0 : outputs_; i < operands_; ++i) {
        if (!IsPacked(i)) continue;
        Gather(base_[i] + offsets[i], loop_.row_stride(i), length, buffers_[i].data() + filled);
      }
      filled += length;
    });
  }

  void Unpack(int64_t begin, int64_t end) {
    bool needed = false;
    for (int i = 0; i < outputs_; ++i) needed = needed || IsPacked(i);
    if (!needed) return;
    int64_t filled = 0;
    loop_.ForRows(begin, end, [&](const Offsets& offsets, int64_t length) {
      for (int i = 0; i < outputs_; ++i) {
        if (!IsPacked(i)) continue;
        Scatter(buffers_[i].data() + filled, length, base_[i] + offsets[i], loop_.row_stride(i));
      }
      filled += length;
    });
  }

  const ElementCall<T>& call_;
  const StridedLoop& loop_;
  const bool streams_;
  int outputs_ = 0;
  int operands_ = 0;
  std::array<T*, StridedLoop::kMaxOperands> base_{};
  Block<T> block_;
  // Not initialised.
  std::array<std::array<T, kPackLength>, StridedLoop::kMaxOperands> buffers_;
};

// Not where an output is read, too: its lines are in the caches then.
template <typename T>
bool Streams(const ElementCall<T>& call, int64_t elements) {
  const size_t bytes = static_cast<size_t>(elements) * sizeof(T);
  if (call.accumulate || bytes * (call.outputs.size() + call.inputs.size()) < kStreamedBytes) {
    return false;
  }
  for (const Tensor* out : call.outputs) {
    for (const Tensor* in : call.inputs) {
      if (out->defined() && in->defined() && out->raw_data() == in->raw_data()) return false;
    }
  }
  return true;
}

template <typename T>
void RunRange(const ElementCall<T>& call, const StridedLoop& loop, bool streams, int64_t begin,
              int64_t end) {
  RangeRunner<T> runner(call, loop, streams);
  if (runner.AllLinear()) {
    runner.RunLinear(begin, end);
  } else if (loop.row_length() < kShortRow) {
    runner.RunPacked(begin, end);
  } else {
    loop.ForRows(begin, end,
                 [&](const Offsets& offsets, int64_t length) { runner.RunRow(offsets, length); });
  }
  if (streams) _mm_sfence();
}

}  // namespace

template <typename T>
void RunElements(CpuDevice& device, const ElementCall<T>& call) {
  std::array<const Tensor*, StridedLoop::kMaxOperands> operands{};
  const auto end = std::copy(call.outputs.begin(), call.outputs.end(), operands.begin());
  std::copy(call.inputs.begin(), call.inputs.end(), end);
  const StridedLoop loop(std::span(operands.data(), call.outputs.size() + call.inputs.size()));
  const bool streams = Streams(call, loop.elements());
  ParallelRanges(device.threads(), loop.elements(), static_cast<int64_t>(call.cost),
                 [&](int64_t begin, int64_t stop) { RunRange(call, loop, streams, begin, stop); });
}

template void RunElements(CpuDevice&, const ElementCall<float>&);
template void RunElements(CpuDevice&, const ElementCall<double>&);

}  // namespace trainyard
