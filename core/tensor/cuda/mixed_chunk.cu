#include "core/tensor/cuda/launch.h"
#include "core/tensor/cuda/mixed_chunk.h"
#include "core/tensor/cuda/scalar_functions.h"

namespace trainyard::cuda {
namespace {

constexpr int kBlockThreads = 256;

TRAINYARD_DEVICE int32_t SegmentOf(const SegmentRows& segments, int64_t batch, int64_t row) {
  return segments.data == nullptr
             ? 0
             : segments.data[batch * segments.batch_stride + row * segments.row_stride];
}

// A score's place, and relu(score + b) there.
template <typename T>
struct LocalScore {
  T* score;
  bool seen;
  T positive;

  TRAINYARD_DEVICE LocalScore(const LocalArguments& a, int64_t index) {
    const int64_t key = index % a.keys;
    const int64_t row = index / a.keys % a.rows;
    const int64_t chunk = index / (a.keys * a.rows) % a.chunks;
    const int64_t batch = index / (a.keys * a.rows * a.chunks);
    const int64_t start = a.start + chunk * a.chunk_rows;
    score = static_cast<T*>(a.scores) + index;
    const int32_t segment = SegmentOf(a.segments, batch, start + a.first_row + row);
    seen = !(a.causal && key > a.first_row + row) && segment >= 0 &&
           segment == SegmentOf(a.segments, batch, start + key);
    const T bias =
        a.bias == nullptr ? T(0) : static_cast<const T*>(a.bias)[row * a.bias_stride + key];
    positive = seen ? Relu(*score + bias) : T(0);
  }
};

template <typename T>
struct LocalKernel {
  static constexpr const char* kName = "mixed_chunk_local";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = false;
  LocalArguments arguments;
  T* gradients;  // null: forward

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const LocalArguments& a = arguments;
    const T scale = static_cast<T>(a.scale_a);
    const int64_t count = a.batch * a.chunks * a.rows * a.keys;
    for (int64_t i = context.block() * kThreads + context.thread(); i < count;
         i += context.blocks() * kThreads) {
      const LocalScore<T> local(a, i);
      *local.score = local.positive * local.positive * scale;
      if (gradients == nullptr) continue;
      gradients[i] = local.seen ? gradients[i] * T(2) * scale * local.positive : T(0);
    }
  }
};

TRAINYARD_DEVICE int64_t RowsOfChunk(const ChunkArguments& a, int64_t chunk) {
  return Min(a.chunk, a.rows - chunk * a.chunk);
}

// A thread a chunk of a sequence.
struct ChunkRangesKernel {
  static constexpr const char* kName = "mixed_chunk_ranges";
  static constexpr int kThreads = 64;
  static constexpr bool kSynchronizes = false;
  ChunkArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const ChunkArguments& a = arguments;
    const int64_t index = context.block() * kThreads + context.thread();
    if (index >= a.batch * a.chunks) return;
    const int64_t batch = index / a.chunks;
    const int64_t chunk = index % a.chunks;
    const int64_t rows = RowsOfChunk(a, chunk);
    int32_t lowest = 0x7fffffff;
    int32_t highest = -1;
    int32_t real = 0;
    for (int64_t row = 0; row < rows; ++row) {
      const int32_t segment = SegmentOf(a.segments, batch, chunk * a.chunk + row);
      if (segment < 0) continue;
      lowest = Min(lowest, segment);
      highest = Max(highest, segment);
      ++real;
    }
    a.ranges[3 * index] = lowest;
    a.ranges[3 * index + 1] = highest;
    a.ranges[3 * index + 2] = real;
  }
};

// Whether chunk g of a sequence sees chunk h; `ranges` are those of the sequence. Chunks without a
// real row have an empty range.
TRAINYARD_DEVICE bool Sees(const int32_t* ranges, bool causal, int64_t g, int64_t h) {
  return !(causal && h >= g) && ranges[3 * g] <= ranges[3 * h + 1] &&
         ranges[3 * h] <= ranges[3 * g + 1];
}

struct ChunkWeightsKernel {
  static constexpr const char* kName = "mixed_chunk_weights";
  static constexpr int kThreads = 64;
  static constexpr bool kSynchronizes = false;
  ChunkArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const ChunkArguments& a = arguments;
    const int64_t index = context.block() * kThreads + context.thread();
    if (index >= a.batch * a.chunks) return;
    const int32_t* const ranges = a.ranges + index / a.chunks * a.chunks * 3;
    int64_t seen = 0;
    for (int64_t h = 0; h < a.chunks; ++h) {
      if (Sees(ranges, a.causal, index % a.chunks, h)) seen += ranges[3 * h + 2];
    }
    a.weights[index] = seen == 0 ? 0 : 1 / static_cast<double>(a.divisor == 0 ? seen : a.divisor);
  }
};

// A thread an element of the states of a sequence, for all chunks. A running sum serves for as long
// as chunks only add to what is seen; where the view narrows, it is summed anew.
template <typename T>
struct StateSumsKernel {
  static constexpr const char* kName = "mixed_chunk_states";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = false;
  ChunkArguments arguments;
  int64_t elements;
  bool backward;
  const T* in;
  T* out;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const ChunkArguments& a = arguments;
    const int64_t count = a.batch * elements;
    for (int64_t i = context.block() * kThreads + context.thread(); i < count;
         i += context.blocks() * kThreads) {
      SumElement(i / elements, i % elements);
    }
  }

 private:
  TRAINYARD_DEVICE bool Links(const int32_t* ranges, int64_t target, int64_t source) const {
    return backward ? Sees(ranges, arguments.causal, source, target)
                    : Sees(ranges, arguments.causal, target, source);
  }

  TRAINYARD_DEVICE void SumElement(int64_t batch, int64_t element) const {
    if (arguments.segments.data == nullptr) {
      SumWithoutSegments(batch, element);
    } else {
      SumWithSegments(batch, element);
    }
  }

  // What the source of a backward pass is worth to all who see it.
  TRAINYARD_DEVICE T Weighed(const double* weights, int64_t source, T value) const {
    return backward ? static_cast<T>(weights[source]) * value : value;
  }

  TRAINYARD_DEVICE void SumWithoutSegments(int64_t batch, int64_t element) const {
    const ChunkArguments& a = arguments;
    const double* const weights = a.weights + batch * a.chunks;
    const T* const from = in + batch * a.chunks * elements + element;
    T* const to = out + batch * a.chunks * elements + element;
    T sum = T(0);
    for (int64_t visit = 0; visit < a.chunks && !a.causal; ++visit) {
      const int64_t source = backward ? a.chunks - 1 - visit : visit;
      sum += Weighed(weights, source, from[source * elements]);
    }
    for (int64_t visit = 0; visit < a.chunks; ++visit) {
      const int64_t target = backward ? a.chunks - 1 - visit : visit;
      if (a.causal && visit > 0) {
        const int64_t source = backward ? target + 1 : target - 1;
        sum += Weighed(weights, source, from[source * elements]);
      }
      to[target * elements] = backward ? sum : static_cast<T>(weights[target]) * sum;
    }
  }

  TRAINYARD_DEVICE void SumWithSegments(int64_t batch, int64_t element) const {
    const ChunkArguments& a = arguments;
    const int32_t* const ranges = a.ranges + batch * a.chunks * 3;
    const double* const weights = a.weights + batch * a.chunks;
    const T* const from = in + batch * a.chunks * elements + element;
    T* const to = out + batch * a.chunks * elements + element;
    T sum = T(0);
    int64_t before = -1;  // the target whose sources are in the sum
    for (int64_t visit = 0; visit < a.chunks; ++visit) {
      const int64_t target = backward ? a.chunks - 1 - visit : visit;
      bool grows = before >= 0;
      for (int64_t source = 0; source < a.chunks && grows; ++source) {
        grows = !Links(ranges, before, source) || Links(ranges, target, source);
      }
      if (!grows) sum = T(0);
      for (int64_t place = 0; place < a.chunks; ++place) {
        const int64_t source = backward ? a.chunks - 1 - place : place;
        if (!Links(ranges, target, source)) continue;
        if (grows && Links(ranges, before, source)) continue;
        sum += Weighed(weights, source, from[source * elements]);
      }
      before = target;
      to[target * elements] = backward ? sum : static_cast<T>(weights[target]) * sum;
    }
  }
};

template <typename T>
struct ClearPaddingKernel {
  static constexpr const char* kName = "clear_padding";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = false;
  PaddingArguments arguments;

  // A warp a row.
  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    constexpr int kWarps = kThreads / kWarp;
    const PaddingArguments& a = arguments;
    for (int64_t i = context.block() * kWarps + context.thread() / kWarp; i < a.batch * a.rows;
         i += context.blocks() * kWarps) {
      const int64_t batch = i / a.rows;
      const int64_t row = i % a.rows;
      if (SegmentOf(a.segments, batch, row) >= 0) continue;
      T* const data = static_cast<T*>(a.data) + batch * a.batch_stride + row * a.row_stride;
      for (int64_t j = context.thread() % kWarp; j < a.columns; j += kWarp) data[j] = T(0);
    }
  }
};

template <typename T>
void LaunchLocal(Platform& platform, const LocalArguments& arguments, void* gradients) {
  const int64_t count = arguments.batch * arguments.chunks * arguments.rows * arguments.keys;
  Launch(platform, Grid{BlocksFor(count, kBlockThreads)},
         LocalKernel<T>{arguments, static_cast<T*>(gradients)});
}

}  // namespace

template <typename T>
void LaunchLocalWeights(Platform& platform, const LocalArguments& arguments) {
  LaunchLocal<T>(platform, arguments, nullptr);
}
template void LaunchLocalWeights<float>(Platform&, const LocalArguments&);
template void LaunchLocalWeights<double>(Platform&, const LocalArguments&);

template <typename T>
void LaunchLocalBackward(Platform& platform, const LocalArguments& arguments, void* gradients) {
  LaunchLocal<T>(platform, arguments, gradients);
}
template void LaunchLocalBackward<float>(Platform&, const LocalArguments&, void*);
template void LaunchLocalBackward<double>(Platform&, const LocalArguments&, void*);

void LaunchChunkPlan(Platform& platform, const ChunkArguments& arguments) {
  const Grid grid{CeilDivide(arguments.batch * arguments.chunks, 64)};
  Launch(platform, grid, ChunkRangesKernel{arguments});
  Launch(platform, grid, ChunkWeightsKernel{arguments});
}

template <typename T>
void LaunchStateSums(Platform& platform, const ChunkArguments& arguments, int64_t elements,
                     bool backward, const void* in, void* out) {
  Launch(platform, Grid{BlocksFor(arguments.batch * elements, kBlockThreads)},
         StateSumsKernel<T>{arguments, elements, backward, static_cast<const T*>(in),
                            static_cast<T*>(out)});
}
template void LaunchStateSums<float>(Platform&, const ChunkArguments&, int64_t, bool, const void*,
                                     void*);
template void LaunchStateSums<double>(Platform&, const ChunkArguments&, int64_t, bool, const void*,
                                      void*);

template <typename T>
void LaunchClearPadding(Platform& platform, const PaddingArguments& arguments) {
  Launch(platform, Grid{BlocksFor(arguments.batch * arguments.rows, 8)},
         ClearPaddingKernel<T>{arguments});
}
template void LaunchClearPadding<float>(Platform&, const PaddingArguments&);
template void LaunchClearPadding<double>(Platform&, const PaddingArguments&);

}  // namespace trainyard::cuda
