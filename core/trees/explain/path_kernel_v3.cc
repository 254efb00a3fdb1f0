// Path-dependent TreeSHAP for x86-64-v3.
#include "core/trees/explain/path_kernel.h"

namespace trainyard {
namespace {

constexpr size_t kVectorBytes = 32;
#include "core/trees/explain/path_kernel_body.h"

}  // namespace

void RunPathKernelV3(const PathKernelArgs& args) { RunKernel(args); }

}  // namespace trainyard
