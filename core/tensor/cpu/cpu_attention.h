// The CPU's attention, one file a function.
#pragma once

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/kernels/attention_kernels.h"

namespace trainyard::cpu_attention {

// Those of AttentionKernels. Memory beyond the arguments: a tile of scores for each thread.
void Attend(CpuDevice& device, const AttentionArguments& arguments);
// A tile for each thread, and a copy of dq for every part beyond the first into which the keys of a
// head are split: none where there are at least 8 heads in all.
void AttendBackward(CpuDevice& device, const AttentionArguments& forward,
                    const AttentionGradients& gradients);
// A tile for each thread, and s x e numbers for each sequence.
void MixedChunk(CpuDevice& device, const MixedChunkArguments& arguments);
// The same, n x e numbers for dO where there is a gate, n x s for dQl and dKl of all column blocks
// but the first (at most one further block for up to two threads), and up to 16 sums of db.
void MixedChunkBackward(CpuDevice& device, const MixedChunkArguments& forward,
                        const MixedChunkGradients& gradients);

}  // namespace trainyard::cpu_attention
