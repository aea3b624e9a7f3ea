/* kernel.h: what a program says and asks about a kernel: attributes, and the occupancy API. */
#ifndef LAB_KERNEL_H
#define LAB_KERNEL_H

#include "lab/device.h"

enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
    cudaFuncAttributePreferredSharedMemoryCarveout = 9
};

namespace lab {

cudaError_t set_attribute(const char *kernel, cudaFuncAttribute attribute, int value);

}

#define cudaFuncSetAttribute(kernel, ...) ::lab::set_attribute(#kernel, __VA_ARGS__)

#endif
