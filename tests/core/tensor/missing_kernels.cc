// Stands in for groups of kernels that no library defines yet. What a library before
// this one on the line of the linker defines is taken from there.
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/kernels/attention_kernels.h"
#include "core/tensor/kernels/convolution_kernels.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/kernels/embedding_kernels.h"
#include "core/tensor/kernels/loss_kernels.h"
#include "core/tensor/kernels/norm_kernels.h"
#include "core/tensor/kernels/optimizer_kernels.h"
#include "core/tensor/kernels/position_kernels.h"
#include "core/tensor/kernels/random_kernels.h"
#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/kernels/structured_kernels.h"

namespace trainyard {

#define TRAINYARD_MISSING(Group)                                                              \
  __attribute__((weak)) std::unique_ptr<Group##Kernels> MakeCpu##Group##Kernels(CpuDevice&) { \
    return nullptr;                                                                           \
  }
TRAINYARD_MISSING(Attention)
TRAINYARD_MISSING(Convolution)
TRAINYARD_MISSING(Elementwise)
TRAINYARD_MISSING(Embedding)
TRAINYARD_MISSING(Loss)
TRAINYARD_MISSING(Norm)
TRAINYARD_MISSING(Optimizer)
TRAINYARD_MISSING(Position)
TRAINYARD_MISSING(Random)
TRAINYARD_MISSING(Reduction)
TRAINYARD_MISSING(Structured)
#undef TRAINYARD_MISSING

}  // namespace trainyard
