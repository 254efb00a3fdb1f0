#include "core/tensor/cuda/elementwise.h"
#include "core/tensor/cuda/launch.h"
#include "core/tensor/cuda/scalar_functions.h"

namespace trainyard::cuda {
namespace {

constexpr int kBlockThreads = 256;

// 16 bytes of elements: one load or store.
template <typename T>
struct alignas(16) Pack {
  static constexpr int kCount = 16 / sizeof(T);
  T values[kCount];
};

// Functors on the elements of one position.

template <typename T>
struct AffineFunction {
  static constexpr const char* kName = "affine";
  static constexpr int kOutputs = 1;
  static constexpr int kInputs = 1;
  T scale;
  T shift;
  explicit AffineFunction(const MapArguments& arguments)
      : scale(static_cast<T>(arguments.scale)), shift(static_cast<T>(arguments.shift)) {}
  TRAINYARD_DEVICE void operator()(const T* in, T* out) const { out[0] = scale * in[0] + shift; }
};

template <typename T>
struct UnaryFunction {
  static constexpr const char* kName = "unary";
  static constexpr int kOutputs = 1;
  static constexpr int kInputs = 1;
  UnaryOp op;
  explicit UnaryFunction(const MapArguments& arguments) : op(arguments.unary) {}
  TRAINYARD_DEVICE void operator()(const T* in, T* out) const { out[0] = ApplyUnary(op, in[0]); }
};

template <typename T>
struct UnaryBackwardFunction {
  static constexpr const char* kName = "unary_backward";
  static constexpr int kOutputs = 1;
  static constexpr int kInputs = 2;
  UnaryOp op;
  explicit UnaryBackwardFunction(const MapArguments& arguments) : op(arguments.unary) {}
  TRAINYARD_DEVICE void operator()(const T* in, T* out) const {
    out[0] = in[1] * UnaryDerivative(op, in[0]);
  }
};

template <typename T>
struct BinaryFunction {
  static constexpr const char* kName = "binary";
  static constexpr int kOutputs = 1;
  static constexpr int kInputs = 2;
  BinaryOp op;
  explicit BinaryFunction(const MapArguments& arguments) : op(arguments.binary) {}
  TRAINYARD_DEVICE void operator()(const T* in, T* out) const {
    out[0] = ApplyBinary(op, in[0], in[1]);
  }
};

template <typename T>
struct ChoiceBackwardFunction {
  static constexpr const char* kName = "choice_backward";
  static constexpr int kOutputs = 1;
  static constexpr int kInputs = 3;
  T sign;  // minima are maxima of what is negated
  bool first;
  explicit ChoiceBackwardFunction(const MapArguments& arguments)
      : sign(arguments.binary == BinaryOp::kMinimum ? T(-1) : T(1)), first(arguments.first) {}
  TRAINYARD_DEVICE void operator()(const T* in, T* out) const {
    const T x = sign * in[0];
    const T other = sign * in[1];
    out[0] = (first ? x >= other : x > other) ? in[2] : T(0);
  }
};

template <typename T>
struct BiasActivationFunction {
  static constexpr const char* kName = "bias_activation";
  static constexpr int kOutputs = 2;
  static constexpr int kInputs = 2;
  Activation activation;
  explicit BiasActivationFunction(const MapArguments& arguments)
      : activation(arguments.activation) {}
  TRAINYARD_DEVICE void operator()(const T* in, T* out) const {
    out[0] = in[0] + in[1];
    out[1] = Activate(activation, out[0]);
  }
};

template <typename T>
struct ActivationBackwardFunction {
  static constexpr const char* kName = "activation_backward";
  static constexpr int kOutputs = 1;
  static constexpr int kInputs = 2;
  Activation activation;
  explicit ActivationBackwardFunction(const MapArguments& arguments)
      : activation(arguments.activation) {}
  TRAINYARD_DEVICE void operator()(const T* in, T* out) const {
    out[0] = in[1] * ActivationDerivative(activation, in[0]);
  }
};

template <typename T>
struct GateFunction {
  static constexpr const char* kName = "gate";
  static constexpr int kOutputs = 1;
  static constexpr int kInputs = 2;
  Activation activation;
  explicit GateFunction(const MapArguments& arguments) : activation(arguments.activation) {}
  TRAINYARD_DEVICE void operator()(const T* in, T* out) const {
    out[0] = Activate(activation, in[0]) * in[1];
  }
};

template <typename T>
struct GateBackwardFunction {
  static constexpr const char* kName = "gate_backward";
  static constexpr int kOutputs = 2;
  static constexpr int kInputs = 3;
  Activation activation;
  explicit GateBackwardFunction(const MapArguments& arguments) : activation(arguments.activation) {}
  TRAINYARD_DEVICE void operator()(const T* in, T* out) const {
    out[0] = in[2] * in[1] * ActivationDerivativeAt(activation, in[0]);
    out[1] = in[2] * Activate(activation, in[0]);
  }
};

// Applies a functor at every position of the operands.
template <typename T, typename Function>
struct MapKernel {
  static constexpr const char* kName = Function::kName;
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = false;
  static constexpr int kOperands = Function::kOutputs + Function::kInputs;

  Function function;
  StridedLayout layout;
  T* data[kOperands];
  bool accumulate;
  bool packed;  // contiguous and aligned to 16 bytes

  explicit MapKernel(const MapArguments& arguments)
      : function(arguments), layout(arguments.layout), accumulate(arguments.accumulate) {
    uintptr_t bits = 0;
    for (int j = 0; j < kOperands; ++j) {
      data[j] = static_cast<T*>(arguments.data[j]);
      bits |= reinterpret_cast<uintptr_t>(arguments.data[j]);
    }
    packed = layout.contiguous && bits % 16 == 0;
  }

  int64_t items() const {
    return packed ? CeilDivide(layout.elements, Pack<T>::kCount) : layout.elements;
  }

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const int64_t step = context.blocks() * kThreads;
    const int64_t first = context.block() * kThreads + context.thread();
    if (packed) {
      const int64_t packs = layout.elements / Pack<T>::kCount;
      for (int64_t i = first; i < packs; i += step) ApplyPack(i);
      const int64_t last = packs * Pack<T>::kCount + first;
      if (last < layout.elements) ApplyAt(last);
    } else {
      for (int64_t i = first; i < layout.elements; i += step) ApplyAt(i);
    }
  }

 private:
  TRAINYARD_DEVICE void ApplyAt(int64_t index) const {
    int64_t offsets[kOperands];
    if (layout.contiguous) {
      for (int j = 0; j < kOperands; ++j) offsets[j] = index;
    } else {
      layout.Offsets(index, offsets);
    }
    T in[Function::kInputs];
    T out[Function::kOutputs];
    for (int j = 0; j < Function::kInputs; ++j) {
      const T* const from = data[Function::kOutputs + j];
      in[j] = from == nullptr ? T(0) : from[offsets[Function::kOutputs + j]];
    }
    function(in, out);
    for (int j = 0; j < Function::kOutputs; ++j) {
      if (data[j] == nullptr) continue;
      T& to = data[j][offsets[j]];
      to = accumulate ? to + out[j] : out[j];
    }
  }

  TRAINYARD_DEVICE void ApplyPack(int64_t index) const {
    Pack<T> in[Function::kInputs];
    Pack<T> out[Function::kOutputs];
    for (int j = 0; j < Function::kInputs; ++j) {
      const T* const from = data[Function::kOutputs + j];
      in[j] = from == nullptr ? Pack<T>{} : reinterpret_cast<const Pack<T>*>(from)[index];
    }
    for (int j = 0; j < Function::kOutputs && accumulate; ++j) {
      if (data[j] != nullptr) out[j] = reinterpret_cast<const Pack<T>*>(data[j])[index];
    }
    for (int i = 0; i < Pack<T>::kCount; ++i) {
      T values[Function::kInputs];
      T results[Function::kOutputs];
      for (int j = 0; j < Function::kInputs; ++j) values[j] = in[j].values[i];
      function(values, results);
      for (int j = 0; j < Function::kOutputs; ++j) {
        out[j].values[i] = accumulate ? out[j].values[i] + results[j] : results[j];
      }
    }
    for (int j = 0; j < Function::kOutputs; ++j) {
      if (data[j] != nullptr) reinterpret_cast<Pack<T>*>(data[j])[index] = out[j];
    }
  }
};

template <typename T, typename Function>
void LaunchFunction(Platform& platform, const MapArguments& arguments) {
  const MapKernel<T, Function> kernel(arguments);
  Launch(platform, Grid{BlocksFor(kernel.items(), kBlockThreads)}, kernel);
}

// Copies between elements of any types. Equal types are moved as words of their size; all others
// go through double, which holds each of them exactly.
template <typename Word>
struct MoveKernel {
  static constexpr const char* kName = "copy";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = false;
  StridedLayout layout;
  Word* out;
  const Word* in;
  bool packed;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const int64_t step = context.blocks() * kThreads;
    const int64_t first = context.block() * kThreads + context.thread();
    int64_t start = 0;
    if (packed) {
      const int64_t packs = layout.elements / Pack<Word>::kCount;
      for (int64_t i = first; i < packs; i += step) {
        reinterpret_cast<Pack<Word>*>(out)[i] = reinterpret_cast<const Pack<Word>*>(in)[i];
      }
      start = packs * Pack<Word>::kCount;
    }
    for (int64_t i = start + first; i < layout.elements; i += step) {
      int64_t offsets[2];
      layout.Offsets(i, offsets);
      out[offsets[0]] = in[offsets[1]];
    }
  }
};

TRAINYARD_DEVICE double LoadNumber(ElementType type, const void* data, int64_t index) {
  switch (type) {
    case ElementType::kFloat32:
      return static_cast<const float*>(data)[index];
    case ElementType::kFloat64:
      return static_cast<const double*>(data)[index];
    case ElementType::kInt32:
      return static_cast<const int32_t*>(data)[index];
    case ElementType::kUint8:
      return static_cast<const uint8_t*>(data)[index];
  }
  return 0;
}

TRAINYARD_DEVICE void StoreNumber(ElementType type, void* data, int64_t index, double value) {
  switch (type) {
    case ElementType::kFloat32:
      static_cast<float*>(data)[index] = static_cast<float>(value);
      break;
    case ElementType::kFloat64:
      static_cast<double*>(data)[index] = value;
      break;
    case ElementType::kInt32:
      static_cast<int32_t*>(data)[index] = static_cast<int32_t>(value);
      break;
    case ElementType::kUint8:
      static_cast<uint8_t*>(data)[index] = static_cast<uint8_t>(value);
      break;
  }
}

// Without `in`: fills with `value`.
struct ConvertKernel {
  static constexpr const char* kName = "convert";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = false;
  StridedLayout layout;
  void* out;
  const void* in;
  ElementType out_type;
  ElementType in_type;
  double value;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const int64_t step = context.blocks() * kThreads;
    for (int64_t i = context.block() * kThreads + context.thread(); i < layout.elements;
         i += step) {
      int64_t offsets[2];
      layout.Offsets(i, offsets);
      StoreNumber(out_type, out, offsets[0],
                  in == nullptr ? value : LoadNumber(in_type, in, offsets[1]));
    }
  }
};

template <typename Word>
void LaunchMove(Platform& platform, const CopyArguments& arguments) {
  const uintptr_t bits =
      reinterpret_cast<uintptr_t>(arguments.out) | reinterpret_cast<uintptr_t>(arguments.in);
  const bool packed = arguments.layout.contiguous && bits % 16 == 0;
  const int64_t items = packed ? CeilDivide(arguments.layout.elements, Pack<Word>::kCount)
                               : arguments.layout.elements;
  Launch(platform, Grid{BlocksFor(items, kBlockThreads)},
         MoveKernel<Word>{arguments.layout, static_cast<Word*>(arguments.out),
                          static_cast<const Word*>(arguments.in), packed});
}

}  // namespace

template <typename T>
void LaunchMap(Platform& platform, const MapArguments& arguments) {
  switch (arguments.op) {
    case MapOp::kAffine:
      return LaunchFunction<T, AffineFunction<T>>(platform, arguments);
    case MapOp::kUnary:
      return LaunchFunction<T, UnaryFunction<T>>(platform, arguments);
    case MapOp::kUnaryBackward:
      return LaunchFunction<T, UnaryBackwardFunction<T>>(platform, arguments);
    case MapOp::kBinary:
      return LaunchFunction<T, BinaryFunction<T>>(platform, arguments);
    case MapOp::kChoiceBackward:
      return LaunchFunction<T, ChoiceBackwardFunction<T>>(platform, arguments);
    case MapOp::kBiasActivation:
      return LaunchFunction<T, BiasActivationFunction<T>>(platform, arguments);
    case MapOp::kActivationBackward:
      return LaunchFunction<T, ActivationBackwardFunction<T>>(platform, arguments);
    case MapOp::kGate:
      return LaunchFunction<T, GateFunction<T>>(platform, arguments);
    case MapOp::kGateBackward:
      return LaunchFunction<T, GateBackwardFunction<T>>(platform, arguments);
  }
}
template void LaunchMap<float>(Platform& platform, const MapArguments& arguments);
template void LaunchMap<double>(Platform& platform, const MapArguments& arguments);

void LaunchCopy(Platform& platform, const CopyArguments& arguments) {
  if (arguments.out_type == arguments.in_type) {
    switch (arguments.out_type) {
      case ElementType::kFloat64:
        return LaunchMove<uint64_t>(platform, arguments);
      case ElementType::kFloat32:
      case ElementType::kInt32:
        return LaunchMove<uint32_t>(platform, arguments);
      case ElementType::kUint8:
        return LaunchMove<uint8_t>(platform, arguments);
    }
  }
  Launch(platform, Grid{BlocksFor(arguments.layout.elements, kBlockThreads)},
         ConvertKernel{arguments.layout, arguments.out, arguments.in, arguments.out_type,
                       arguments.in_type, 0});
}

void LaunchFill(Platform& platform, const FillArguments& arguments) {
  Launch(platform, Grid{BlocksFor(arguments.layout.elements, kBlockThreads)},
         ConvertKernel{arguments.layout, arguments.out, nullptr, arguments.type, arguments.type,
                       arguments.value});
}

}  // namespace trainyard::cuda
