// Launches of kernels on the interpreter.
#pragma once

#include <functional>
#include <type_traits>

#include "core/tensor/cuda/interpreter/host_context.h"
#include "core/tensor/cuda/launch.h"

namespace trainyard::cuda {

// Does `work` now, or keeps it for later while launches are captured.
void Enqueue(Platform& platform, std::function<void(BlockInterpreter&)> work);

// Throws TensorError INTERNAL for what a GPU would refuse: too many blocks along y or z, too much
// shared memory.
void CheckGrid(const char* kernel, const Grid& grid, size_t shared_bytes);

template <typename Kernel>
void InterpretGrid(BlockInterpreter& interpreter, const Grid& grid, const Kernel& kernel,
                   size_t shared_bytes) {
  BlockPosition position{.blocks_x = grid.x, .blocks_y = grid.y};
  for (position.z = 0; position.z < grid.z; ++position.z) {
    for (position.y = 0; position.y < grid.y; ++position.y) {
      for (position.x = 0; position.x < grid.x; ++position.x) {
        if constexpr (Kernel::kSynchronizes) {
          interpreter.Run(
              Kernel::kName,
              [](const void* body, BlockInterpreter& state, int thread) {
                FiberContext context(state, thread);
                (*static_cast<const Kernel*>(body))(context);
              },
              &kernel, Kernel::kThreads, shared_bytes, position);
        } else {
          for (int thread = 0; thread < Kernel::kThreads; ++thread) {
            LoopContext context(position, thread);
            kernel(context);
          }
        }
      }
    }
  }
}

// Queues `kernel` on the platform's stream. Does nothing for an empty grid.
template <typename Kernel>
void Launch(Platform& platform, Grid grid, const Kernel& kernel, size_t shared_bytes = 0) {
  static_assert(Kernel::kThreads % kWarp == 0 && Kernel::kThreads <= 1024);
  static_assert(std::is_trivially_copyable_v<Kernel> && sizeof(Kernel) <= 4096);
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  CheckGrid(Kernel::kName, grid, shared_bytes);
  Enqueue(platform, [grid, kernel, shared_bytes](BlockInterpreter& interpreter) {
    InterpretGrid(interpreter, grid, kernel, shared_bytes);
  });
}

}  // namespace trainyard::cuda
