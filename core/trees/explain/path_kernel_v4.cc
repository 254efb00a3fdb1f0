// Path-dependent TreeSHAP for x86-64-v4.
#include "core/trees/explain/path_kernel.h"

namespace trainyard {
namespace {

constexpr size_t kVectorBytes = 64;
#include "core/trees/explain/path_kernel_body.h"

}  // namespace

void RunPathKernelV4(const PathKernelArgs& args) { RunKernel(args); }

}  // namespace trainyard
