#include "core/tensor/cuda/launch.h"
#include "core/tensor/cuda/reduction.h"
#include "core/tensor/cuda/row_threads.h"

namespace trainyard::cuda {
namespace {

// Work on one GPU is spread over about this many blocks; enough for any of them.
constexpr int64_t kWantedBlocks = 512;
constexpr int64_t kSmallestChunk = 2048;
constexpr int64_t kMostChunks = 256;

// Column kernels: a warp reads 32 neighbouring outputs' elements, 8 warps take turns downwards.
constexpr int kColumnWarps = 8;

// With fewer elements to reduce, or with more outputs in columns, a thread takes an output alone.
constexpr int64_t kFewElements = 32;
constexpr int64_t kManyOutputs = 65536;

bool ReducesColumns(const ReduceArguments& arguments) {
  const bool kept_is_dense = arguments.kept.rank > 0 && arguments.kept.strides[1][0] == 1;
  const bool reduced_is_dense = arguments.reduced.rank > 0 && arguments.reduced.strides[0][0] == 1;
  return kept_is_dense && !reduced_is_dense;
}

bool ReducesAlone(const ReduceArguments& arguments) {
  return arguments.reduced.elements <= kFewElements ||
         (ReducesColumns(arguments) && arguments.kept.elements >= kManyOutputs);
}

TRAINYARD_DEVICE double Identity(Reduction op) {
  constexpr double kInfinity = __builtin_huge_val();
  return op == Reduction::kSum ? 0.0 : op == Reduction::kMaximum ? -kInfinity : kInfinity;
}

struct Combine {
  Reduction op;
  TRAINYARD_DEVICE double operator()(double a, double b) const {
    return op == Reduction::kSum       ? a + b
           : op == Reduction::kMaximum ? Larger{}(a, b)
                                       : Smaller{}(a, b);
  }
};

template <typename T>
TRAINYARD_DEVICE void Finish(const ReduceArguments& arguments, int64_t output, int64_t chunk,
                             double value) {
  if (arguments.chunks > 1) {
    arguments.partial[chunk * arguments.kept.elements + output] = value;
    return;
  }
  int64_t offsets[1];
  arguments.kept.Offsets(output, offsets);
  T& out = static_cast<T*>(arguments.out)[offsets[0]];
  value *= arguments.scale;
  out = static_cast<T>(arguments.accumulate ? static_cast<double>(out) + value : value);
}

// Where chunk `chunk` of the reduced elements begins.
TRAINYARD_DEVICE int64_t ChunkStart(const ReduceArguments& arguments, int64_t chunk) {
  return arguments.reduced.elements * chunk / arguments.chunks;
}

// Each output's elements by the threads of a row.
template <typename T>
struct ReduceRowsKernel {
  static constexpr const char* kName = "reduce_rows";
  static constexpr int kThreads = kRowThreads;
  static constexpr bool kSynchronizes = true;
  ReduceArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const int64_t begin = ChunkStart(arguments, context.block_y());
    const int64_t end = ChunkStart(arguments, context.block_y() + 1);
    RowThreads<Context> threads(context, arguments.reduced.elements / arguments.chunks);
    if (threads.row() >= arguments.kept.elements) return;
    int64_t kept[2];
    arguments.kept.Offsets(threads.row(), kept);
    const T* const in = static_cast<const T*>(arguments.in) + kept[1];
    const Combine combine{arguments.op};
    double value = Identity(arguments.op);
    for (int64_t i = begin + threads.first(); i < end; i += threads.step()) {
      int64_t offsets[1];
      arguments.reduced.Offsets(i, offsets);
      value = combine(value, static_cast<double>(in[offsets[0]]));
    }
    value = threads.Reduce(value, combine);
    if (threads.first() == 0) Finish<T>(arguments, threads.row(), context.block_y(), value);
  }
};

template <typename T>
struct ReduceColumnsKernel {
  static constexpr const char* kName = "reduce_columns";
  static constexpr int kThreads = kWarp * kColumnWarps;
  static constexpr bool kSynchronizes = true;
  ReduceArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    auto shared = context.template Shared<double>(kThreads);
    const int lane = context.thread() % kWarp;
    const int warp = context.thread() / kWarp;
    const int64_t output = context.block() * kWarp + lane;
    const int64_t end = ChunkStart(arguments, context.block_y() + 1);
    const Combine combine{arguments.op};
    double value = Identity(arguments.op);
    if (output < arguments.kept.elements) {
      int64_t kept[2];
      arguments.kept.Offsets(output, kept);
      const T* const in = static_cast<const T*>(arguments.in) + kept[1];
      for (int64_t i = ChunkStart(arguments, context.block_y()) + warp; i < end;
           i += kColumnWarps) {
        int64_t offsets[1];
        arguments.reduced.Offsets(i, offsets);
        value = combine(value, static_cast<double>(in[offsets[0]]));
      }
    }
    shared[context.thread()] = value;
    context.Sync();
    if (warp > 0 || output >= arguments.kept.elements) return;
    for (int i = 1; i < kColumnWarps; ++i) value = combine(value, shared[i * kWarp + lane]);
    Finish<T>(arguments, output, context.block_y(), value);
  }
};

template <typename T>
struct ReduceAloneKernel {
  static constexpr const char* kName = "reduce_alone";
  static constexpr int kThreads = 128;
  static constexpr bool kSynchronizes = false;
  ReduceArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const Combine combine{arguments.op};
    for (int64_t output = context.block() * kThreads + context.thread();
         output < arguments.kept.elements; output += context.blocks() * kThreads) {
      int64_t kept[2];
      arguments.kept.Offsets(output, kept);
      const T* const in = static_cast<const T*>(arguments.in) + kept[1];
      double value = Identity(arguments.op);
      for (int64_t i = 0; i < arguments.reduced.elements; ++i) {
        int64_t offsets[1];
        arguments.reduced.Offsets(i, offsets);
        value = combine(value, static_cast<double>(in[offsets[0]]));
      }
      Finish<T>(arguments, output, 0, value);
    }
  }
};

template <typename T>
struct FinishPartsKernel {
  static constexpr const char* kName = "finish_parts";
  static constexpr int kThreads = 128;
  static constexpr bool kSynchronizes = false;
  ReduceArguments arguments;  // with one chunk
  int64_t chunks;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const int64_t elements = arguments.kept.elements;
    const Combine combine{arguments.op};
    for (int64_t i = context.block() * kThreads + context.thread(); i < elements;
         i += context.blocks() * kThreads) {
      double value = Identity(arguments.op);
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        value = combine(value, arguments.partial[chunk * elements + i]);
      }
      Finish<T>(arguments, i, 0, value);
    }
  }
};

template <typename T>
struct ArgMaxKernel {
  static constexpr const char* kName = "arg_max";
  static constexpr int kThreads = kRowThreads;
  static constexpr bool kSynchronizes = true;
  const T* in;
  int64_t rows;
  int64_t columns;
  int64_t row_stride;
  int64_t column_stride;
  int32_t* out;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    RowThreads<Context> threads(context, columns);
    const int64_t row = threads.row();
    if (row >= rows) return;
    const T* const values = in + row * row_stride;
    double best = Identity(Reduction::kMaximum);
    double index = static_cast<double>(columns);
    for (int64_t i = threads.first(); i < columns; i += threads.step()) {
      const double value = static_cast<double>(values[i * column_stride]);
      if (value > best) {
        best = value;
        index = static_cast<double>(i);
      }
    }
    const double largest = threads.Reduce(best, Larger{});
    index = threads.Reduce(best == largest ? index : static_cast<double>(columns), Smaller{});
    // A row without a number above -infinity.
    if (index >= static_cast<double>(columns)) index = 0;
    if (threads.first() == 0) out[row] = static_cast<int32_t>(index);
  }
};

}  // namespace

int64_t ChunksOf(const ReduceArguments& arguments) {
  if (ReducesAlone(arguments)) return 1;
  const int64_t outputs = arguments.kept.elements;
  const int64_t blocks = ReducesColumns(arguments)
                             ? CeilDivide(outputs, kWarp)
                             : BlocksForRows(outputs, arguments.reduced.elements);
  const int64_t smallest = ReducesColumns(arguments) ? kSmallestChunk / 32 : kSmallestChunk;
  int64_t chunks = CeilDivide(kWantedBlocks, blocks < 1 ? 1 : blocks);
  if (chunks > arguments.reduced.elements / smallest) {
    chunks = arguments.reduced.elements / smallest;
  }
  return chunks < 1 ? 1 : chunks < kMostChunks ? chunks : kMostChunks;
}

template <typename T>
void LaunchReduce(Platform& platform, const ReduceArguments& arguments) {
  const int64_t outputs = arguments.kept.elements;
  if (ReducesAlone(arguments)) {
    const ReduceAloneKernel<T> alone{arguments};
    Launch(platform, Grid{BlocksFor(outputs, alone.kThreads)}, alone);
    return;
  }
  if (ReducesColumns(arguments)) {
    Launch(platform, Grid{CeilDivide(outputs, kWarp), arguments.chunks},
           ReduceColumnsKernel<T>{arguments}, ReduceColumnsKernel<T>::kThreads * sizeof(double));
  } else {
    const int64_t length = arguments.reduced.elements / arguments.chunks;
    Launch(platform, Grid{BlocksForRows(outputs, length), arguments.chunks},
           ReduceRowsKernel<T>{arguments}, kRowSharedBytes);
  }
  if (arguments.chunks == 1) return;
  FinishPartsKernel<T> finish{arguments, arguments.chunks};
  finish.arguments.chunks = 1;
  Launch(platform, Grid{BlocksFor(outputs, finish.kThreads)}, finish);
}
template void LaunchReduce<float>(Platform&, const ReduceArguments&);
template void LaunchReduce<double>(Platform&, const ReduceArguments&);

template <typename T>
void LaunchSumOfParts(Platform& platform, const double* partial, int64_t chunks, int64_t elements,
                      double scale, void* out, bool accumulate) {
  FinishPartsKernel<T> finish{{}, chunks};
  finish.arguments.kept.elements = elements;
  finish.arguments.kept.rank = 1;
  finish.arguments.kept.sizes[0] = elements;
  finish.arguments.kept.dividers[0] = FastDivider(static_cast<uint32_t>(elements));
  finish.arguments.kept.strides[0][0] = 1;
  finish.arguments.out = out;
  finish.arguments.scale = scale;
  finish.arguments.accumulate = accumulate;
  finish.arguments.partial = const_cast<double*>(partial);
  Launch(platform, Grid{BlocksFor(elements, finish.kThreads)}, finish);
}
template void LaunchSumOfParts<float>(Platform&, const double*, int64_t, int64_t, double, void*,
                                      bool);
template void LaunchSumOfParts<double>(Platform&, const double*, int64_t, int64_t, double, void*,
                                       bool);

template <typename T>
void LaunchArgMax(Platform& platform, const void* in, int64_t rows, int64_t columns,
                  int64_t row_stride, int64_t column_stride, int32_t* out) {
  Launch(platform, Grid{BlocksForRows(rows, columns)},
         ArgMaxKernel<T>{static_cast<const T*>(in), rows, columns, row_stride, column_stride, out},
         kRowSharedBytes);
}
template void LaunchArgMax<float>(Platform&, const void*, int64_t, int64_t, int64_t, int64_t,
                                  int32_t*);
template void LaunchArgMax<double>(Platform&, const void*, int64_t, int64_t, int64_t, int64_t,
                                   int32_t*);

}  // namespace trainyard::cuda
