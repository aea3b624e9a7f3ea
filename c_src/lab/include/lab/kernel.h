/* kernel.h: what a program says and asks about a kernel: attributes, and the occupancy API. */
#ifndef LAB_KERNEL_H
#define LAB_KERNEL_H

#include "lab/device.h"

enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
    cudaFuncAttributePreferredSharedMemoryCarveout = 9
};

struct cudaFuncAttributes {
    size_t sharedSizeBytes, constSizeBytes, localSizeBytes;
    int maxThreadsPerBlock, numRegs, ptxVersion, binaryVersion, cacheModeCA;
    int maxDynamicSharedSizeBytes, preferredShmemCarveout;
};

namespace lab {

cudaError_t set_attribute(const char *kernel, cudaFuncAttribute attribute, int value);

}

template <class T> inline cudaError_t cudaFuncSetCacheConfig(T, cudaFuncCache) {
    return cudaSuccess;
}

#define cudaFuncSetAttribute(kernel, ...) ::lab::set_attribute(#kernel, __VA_ARGS__)

#endif
