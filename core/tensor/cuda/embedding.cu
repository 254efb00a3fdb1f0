#include "core/tensor/cuda/embedding.h"
#include "core/tensor/cuda/launch.h"

namespace trainyard::cuda {
namespace {

constexpr int kDigits = 256;
constexpr int kTile = 256;  // positions that a block sorts

// A warp a row.
template <typename T>
struct GatherKernel {
  static constexpr const char* kName = "gather";
  static constexpr int kThreads = 256;
  static constexpr bool kSynchronizes = false;
  GatherArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    constexpr int kWarps = kThreads / kWarp;
    const T scale = static_cast<T>(arguments.scale);
    for (int64_t row = context.block() * kWarps + context.thread() / kWarp; row < arguments.count;
         row += context.blocks() * kWarps) {
      const int64_t index = arguments.indices[row];
      const T* const from = static_cast<const T*>(arguments.table) + index * arguments.columns;
      T* const to = static_cast<T*>(arguments.out) + row * arguments.out_stride;
      for (int64_t i = context.thread() % kWarp; i < arguments.columns; i += kWarp) {
        to[i] = index < 0 ? T(0) : scale * from[i];
      }
    }
  }
};

// Keys from 0 on, so that they can be cut into digits.
TRAINYARD_DEVICE int DigitOf(int32_t key, int shift) {
  return static_cast<int>(static_cast<uint32_t>(key + 1) >> shift & (kDigits - 1));
}

// counts[digit, tile]: how often `digit` occurs in the tile.
struct CountDigitsKernel {
  static constexpr const char* kName = "sort_count";
  static constexpr int kThreads = kTile;
  static constexpr bool kSynchronizes = true;
  const int32_t* keys;
  int64_t count;
  int shift;
  int32_t* counts;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    auto here = context.template Shared<int32_t>(kDigits);
    const int thread = context.thread();
    here[thread] = 0;
    context.Sync();
    const int64_t position = context.block() * kTile + thread;
    if (position < count) context.AtomicAdd(&here[DigitOf(keys[position], shift)], 1);
    context.Sync();
    counts[thread * context.blocks() + context.block()] = here[thread];
  }
};

// counts[i] becomes the sum of all before it. One block.
struct ScanKernel {
  static constexpr const char* kName = "sort_scan";
  static constexpr int kThreads = 256;
  static constexpr bool kSynchronizes = true;
  int32_t* counts;
  int64_t count;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    auto sums = context.template Shared<int32_t>(kThreads);
    const int thread = context.thread();
    const int64_t begin = count * thread / kThreads;
    const int64_t end = count * (thread + 1) / kThreads;
    int32_t sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += counts[i];
    sums[thread] = sum;
    context.Sync();
    int32_t before = 0;
    for (int i = 0; i < thread; ++i) before += sums[i];
    for (int64_t i = begin; i < end; ++i) {
      const int32_t here = counts[i];
      counts[i] = before;
      before += here;
    }
  }
};

// Moves each position of a tile behind those of smaller digits and those before it of its own.
struct MoveByDigitKernel {
  static constexpr const char* kName = "sort_move";
  static constexpr int kThreads = kTile;
  static constexpr bool kSynchronizes = true;
  const int32_t* keys;
  const int32_t* positions;  // null: 0, 1, …
  int64_t count;
  int shift;
  const int32_t* starts;
  int32_t* keys_out;
  int32_t* positions_out;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    auto digits = context.template Shared<int32_t>(kTile);
    const int thread = context.thread();
    const int64_t position = context.block() * kTile + thread;
    const int32_t key = position < count ? keys[position] : 0;
    const int digit = position < count ? DigitOf(key, shift) : kDigits;
    digits[thread] = digit;
    context.Sync();
    if (position >= count) return;
    int rank = 0;
    for (int i = 0; i < thread; ++i) rank += digits[i] == digit ? 1 : 0;
    const int64_t to = starts[digit * context.blocks() + context.block()] + rank;
    keys_out[to] = key;
    positions_out[to] = positions == nullptr ? static_cast<int32_t>(position) : positions[position];
  }
};

// A warp where a run of equal keys begins, for 32 columns.
template <typename T>
struct AddRunsKernel {
  static constexpr const char* kName = "add_runs";
  static constexpr int kThreads = 256;
  static constexpr bool kSynchronizes = false;
  AddRunsArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    const int64_t start = context.block() * (kThreads / kWarp) + context.thread() / kWarp;
    const int64_t column = context.block_y() * kWarp + context.thread() % kWarp;
    if (start >= arguments.count || column >= arguments.columns) return;
    const int32_t key = arguments.keys[start];
    if (key < 0 || (start > 0 && arguments.keys[start - 1] == key)) return;
    const T* const dy = static_cast<const T*>(arguments.dy) + column;
    T& out = static_cast<T*>(arguments.table)[key * arguments.columns + column];
    const T scale = static_cast<T>(arguments.scale);
    T sum = out;
    for (int64_t i = start; i < arguments.count && arguments.keys[i] == key; ++i) {
      sum += scale * dy[arguments.positions[i] * arguments.dy_stride];
    }
    out = sum;
  }
};

}  // namespace

template <typename T>
void LaunchGather(Platform& platform, const GatherArguments& arguments) {
  Launch(platform, Grid{BlocksFor(arguments.count, 8)}, GatherKernel<T>{arguments});
}
template void LaunchGather<float>(Platform&, const GatherArguments&);
template void LaunchGather<double>(Platform&, const GatherArguments&);

int64_t DigitCountsOf(int64_t count) { return kDigits * CeilDivide(count, kTile); }

void LaunchSortPositions(Platform& platform, const SortArguments& arguments) {
  const Grid tiles{CeilDivide(arguments.count, kTile)};
  int passes = 1;
  while (passes < 4 && (static_cast<int64_t>(arguments.largest_key) + 1) >> (8 * passes) != 0) {
    ++passes;
  }
  // The last pass writes to the first pair.
  const int32_t* keys = arguments.keys;
  const int32_t* positions = nullptr;
  for (int pass = 0; pass < passes; ++pass) {
    const bool to_first = (passes - pass) % 2 == 1;
    int32_t* const keys_out = to_first ? arguments.sorted_keys : arguments.other_keys;
    int32_t* const positions_out = to_first ? arguments.positions : arguments.other_positions;
    Launch(platform, tiles,
           CountDigitsKernel{keys, arguments.count, 8 * pass, arguments.digit_counts},
           kDigits * sizeof(int32_t));
    Launch(platform, Grid{}, ScanKernel{arguments.digit_counts, DigitCountsOf(arguments.count)},
           ScanKernel::kThreads * sizeof(int32_t));
    Launch(platform, tiles,
           MoveByDigitKernel{keys, positions, arguments.count, 8 * pass, arguments.digit_counts,
                             keys_out, positions_out},
           kTile * sizeof(int32_t));
    keys = keys_out;
    positions = positions_out;
  }
}

template <typename T>
void LaunchAddRuns(Platform& platform, const AddRunsArguments& arguments) {
  Launch(platform, Grid{CeilDivide(arguments.count, 8), CeilDivide(arguments.columns, kWarp)},
         AddRunsKernel<T>{arguments});
}
template void LaunchAddRuns<float>(Platform&, const AddRunsArguments&);
template void LaunchAddRuns<double>(Platform&, const AddRunsArguments&);

}  // namespace trainyard::cuda
