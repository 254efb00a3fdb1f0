// Loops over ranges of indices on a device's threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/thread_pool.h"

namespace trainyard {

// Calls function(begin, end) for ranges that make up [0, count), each a multiple of `unit` long but
// the last, on the pool's threads; in the caller alone where there is work for one only: below two
// ranges of `grain`. How the ranges are cut depends on the number of threads, so results must not
// depend on them. No allocation.
template <typename Function>
void ParallelRanges(ThreadPool& pool, int64_t count, int64_t grain, const Function& function,
                    int64_t unit = 16) {
  if (count <= 0) return;
  // Some more ranges than threads, for threads that are not equally fast.
  const int64_t most = pool.threads() == 1 ? 1 : 4 * int64_t{pool.threads()};
  const int64_t ranges = std::min(most, count / std::max<int64_t>(grain, 1));
  if (ranges <= 1) return function(int64_t{0}, count);
  const int64_t length = ((count + ranges - 1) / ranges + unit - 1) / unit * unit;
  struct Call {
    const Function& function;
    int64_t count;
    int64_t length;
  } const call{function, count, length};
  pool.Run((count + length - 1) / length, [&call](int64_t i, int) {
    call.function(i * call.length, std::min(call.count, (i + 1) * call.length));
  });
}

// The same for chunks of fixed length: function(chunk, begin, end), whatever the number of threads,
// for sums whose bits must not depend on it. In the caller alone where count < serial_below.
template <typename Function>
void ParallelChunks(ThreadPool& pool, int64_t count, int64_t length, int64_t serial_below,
                    const Function& function) {
  const int64_t chunks = (count + length - 1) / length;
  if (count < serial_below) {
    for (int64_t i = 0; i < chunks; ++i) {
      function(i, i * length, std::min(count, (i + 1) * length));
    }
    return;
  }
  struct Call {
    const Function& function;
    int64_t count;
    int64_t length;
  } const call{function, count, length};
  pool.Run(chunks, [&call](int64_t i, int) {
    call.function(i, i * call.length, std::min(call.count, (i + 1) * call.length));
  });
}

}  // namespace trainyard
