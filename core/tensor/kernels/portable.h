// Marks of functions that are compiled for the host and for GPUs.
#pragma once

#ifdef __CUDACC__
// For both.
#define TRAINYARD_PORTABLE __host__ __device__ inline
// Within kernels only.
#define TRAINYARD_DEVICE __device__ __forceinline__
#else
#define TRAINYARD_PORTABLE inline
#define TRAINYARD_DEVICE inline
#endif
