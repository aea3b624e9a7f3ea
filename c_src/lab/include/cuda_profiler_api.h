/* cuda_profiler_api.h: begins and ends a profiler's range, of which the lab has none. */
#ifndef LAB_CUDA_PROFILER_API_H
#define LAB_CUDA_PROFILER_API_H

#include "cuda_runtime.h"

inline cudaError_t cudaProfilerStart() { return cudaSuccess; }
inline cudaError_t cudaProfilerStop() { return cudaSuccess; }

#endif
