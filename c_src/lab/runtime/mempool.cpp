/* mempool.cpp: memory pools, of which there is one, and it is only a handle: memory comes from the
   host's heap, and goes back to it at once. */
#define LAB_RUNTIME
#include "error.h"
#include "lab/memory.h"
#include "memory.h"

using namespace lab;

static char the_pool;

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int) {
    *pool = reinterpret_cast<cudaMemPool_t>(&the_pool);
    return done("cudaDeviceGetDefaultMemPool", cudaSuccess);
}

cudaError_t cudaDeviceGetMemPool(cudaMemPool_t *pool, int) {
    *pool = reinterpret_cast<cudaMemPool_t>(&the_pool);
    return done("cudaDeviceGetMemPool", cudaSuccess);
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void *) {
    return done("cudaMemPoolSetAttribute", cudaSuccess);
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr attribute, void *value) {
    if (attribute >= cudaMemPoolAttrReleaseThreshold)
        *static_cast<uint64_t *>(value) =
            attribute == cudaMemPoolAttrReleaseThreshold ? 0 : device_bytes_in_use();
    else
        *static_cast<int *>(value) = 1;
    return done("cudaMemPoolGetAttribute", cudaSuccess);
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) {
    return done("cudaMemPoolTrimTo", cudaSuccess);
}
