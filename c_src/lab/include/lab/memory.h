/* memory.h: memory of the card and of the host, copies, and variables of the card (symbols). */
#ifndef LAB_MEMORY_H
#define LAB_MEMORY_H

#include "lab/errors.h"
#include "lab/stream.h"
#include "lab/words.h"

enum cudaMemcpyKind {
    cudaMemcpyHostToHost = 0,
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3,
    cudaMemcpyDefault = 4
};

enum {
    cudaMemAttachGlobal = 1,
    cudaMemAttachHost = 2,
    cudaMemAttachSingle = 4,
    cudaHostAllocDefault = 0,
    cudaHostAllocPortable = 1,
    cudaHostAllocMapped = 2,
    cudaHostAllocWriteCombined = 4,
    cudaHostRegisterDefault = 0,
    cudaHostRegisterPortable = 1,
    cudaHostRegisterMapped = 2,
    cudaHostRegisterIoMemory = 4,
    cudaHostRegisterReadOnly = 8
};

enum cudaMemoryType {
    cudaMemoryTypeUnregistered = 0,
    cudaMemoryTypeHost = 1,
    cudaMemoryTypeDevice = 2,
    cudaMemoryTypeManaged = 3
};
struct cudaPointerAttributes {
    cudaMemoryType type;
    int device;
    void *devicePointer, *hostPointer;
};

enum cudaMemoryAdvise {
    cudaMemAdviseSetReadMostly = 1,
    cudaMemAdviseUnsetReadMostly = 2,
    cudaMemAdviseSetPreferredLocation = 3,
    cudaMemAdviseUnsetPreferredLocation = 4,
    cudaMemAdviseSetAccessedBy = 5,
    cudaMemAdviseUnsetAccessedBy = 6
};
enum cudaMemLocationType {
    cudaMemLocationTypeInvalid = 0,
    cudaMemLocationTypeNone = 0,
    cudaMemLocationTypeDevice = 1,
    cudaMemLocationTypeHost = 2,
    cudaMemLocationTypeHostNuma = 3,
    cudaMemLocationTypeHostNumaCurrent = 4
};
struct cudaMemLocation {
    cudaMemLocationType type;
    int id;
};
constexpr int cudaCpuDeviceId = -1, cudaInvalidDeviceId = -2;

/* A memory pool is only a handle here: the lab allocates from the host's heap. */
typedef struct lab_pool *cudaMemPool_t;
enum cudaMemPoolAttr {
    cudaMemPoolReuseFollowEventDependencies = 1,
    cudaMemPoolReuseAllowOpportunistic = 2,
    cudaMemPoolReuseAllowInternalDependencies = 3,
    cudaMemPoolAttrReleaseThreshold = 4,
    cudaMemPoolAttrReservedMemCurrent = 5,
    cudaMemPoolAttrReservedMemHigh = 6,
    cudaMemPoolAttrUsedMemCurrent = 7,
    cudaMemPoolAttrUsedMemHigh = 8
};

namespace lab {

/* What the typed forms call; `element` is the size of what the pointer points to, 0 if unknown. */
cudaError_t allocate_device(void **out, size_t bytes, size_t element, const char *name, Site site);
cudaError_t allocate_managed(void **out, size_t bytes, size_t element, unsigned flags, Site site);
cudaError_t allocate_pinned(void **out, size_t bytes, size_t element, const char *name, Site site);
cudaError_t copy_symbol(const void *symbol, void *host, size_t bytes, size_t offset,
                        cudaMemcpyKind kind, cudaStream_t stream, bool to, const char *name,
                        Site site);
cudaError_t symbol_address(void **out, const void *symbol);
cudaError_t symbol_size(size_t *out, const void *symbol);

template <class T> struct Element {
    static constexpr size_t bytes = sizeof(T);
};
template <> struct Element<void> {
    static constexpr size_t bytes = 0;
};

/* A variable of the card. The source pass makes one for each `__device__ int x[4];`. */
struct Symbol {
    enum Kind { device, constant, managed };
    Symbol(const void *address, size_t bytes, const char *name, Kind kind, const char *file,
           int line);
};

}

template <class T> LAB_INLINE cudaError_t cudaMalloc(T **out, size_t bytes, LAB_AT) {
    return ::lab::allocate_device((void **)out, bytes, ::lab::Element<T>::bytes, "cudaMalloc",
                                  site);
}
template <class T>
LAB_INLINE cudaError_t cudaMallocAsync(T **out, size_t bytes, cudaStream_t = nullptr, LAB_AT) {
    return ::lab::allocate_device((void **)out, bytes, ::lab::Element<T>::bytes, "cudaMallocAsync",
                                  site);
}
template <class T> LAB_INLINE cudaError_t cudaMallocFromPoolAsync(T **out, size_t bytes,
                                                                  cudaMemPool_t, cudaStream_t,
                                                                  LAB_AT) {
    return ::lab::allocate_device((void **)out, bytes, ::lab::Element<T>::bytes,
                                  "cudaMallocFromPoolAsync", site);
}
template <class T>
LAB_INLINE cudaError_t cudaMallocManaged(T **out, size_t bytes,
                                         unsigned int flags = cudaMemAttachGlobal, LAB_AT) {
    return ::lab::allocate_managed((void **)out, bytes, ::lab::Element<T>::bytes, flags, site);
}
template <class T>
LAB_INLINE cudaError_t cudaMallocHost(T **out, size_t bytes, unsigned int = 0, LAB_AT) {
    return ::lab::allocate_pinned((void **)out, bytes, ::lab::Element<T>::bytes, "cudaMallocHost",
                                  site);
}
template <class T>
LAB_INLINE cudaError_t cudaHostAlloc(T **out, size_t bytes, unsigned int, LAB_AT) {
    return ::lab::allocate_pinned((void **)out, bytes, ::lab::Element<T>::bytes, "cudaHostAlloc",
                                  site);
}
namespace lab {
cudaError_t allocate_pitched(void **out, size_t *pitch, size_t width, size_t height, Site site);
cudaError_t host_device_pointer(void **out, void *host);
}
template <class T> LAB_INLINE cudaError_t cudaMallocPitch(T **out, size_t *pitch, size_t width,
                                                          size_t height, LAB_AT) {
    return ::lab::allocate_pitched((void **)out, pitch, width, height, site);
}
template <class T>
LAB_INLINE cudaError_t cudaHostGetDevicePointer(T **out, void *host, unsigned int) {
    return ::lab::host_device_pointer((void **)out, host);
}

cudaError_t cudaFree(void *pointer, LAB_AT);
cudaError_t cudaFreeAsync(void *pointer, cudaStream_t stream, LAB_AT);
cudaError_t cudaFreeHost(void *pointer, LAB_AT);
cudaError_t cudaHostRegister(void *pointer, size_t bytes, unsigned int flags);
cudaError_t cudaHostUnregister(void *pointer, LAB_AT);
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *attributes, const void *pointer);

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, LAB_AT);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream = nullptr, LAB_AT);
cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                         size_t width, size_t height, cudaMemcpyKind kind, LAB_AT);
cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream = nullptr, LAB_AT);
cudaError_t cudaMemcpyPeer(void *to, int to_device, const void *from, int from_device,
                           size_t bytes);
cudaError_t cudaMemset(void *at, int value, size_t bytes, LAB_AT);
cudaError_t cudaMemsetAsync(void *at, int value, size_t bytes, cudaStream_t stream = nullptr,
                            LAB_AT);
cudaError_t cudaMemset2D(void *at, size_t pitch, int value, size_t width, size_t height, LAB_AT);
cudaError_t cudaMemPrefetchAsync(const void *at, size_t bytes, cudaMemLocation location,
                                 unsigned int flags, cudaStream_t stream = nullptr);
cudaError_t cudaMemAdvise(const void *at, size_t bytes, cudaMemoryAdvise advice,
                          cudaMemLocation location);

/* As before CUDA 13, with the number of a device: the programs of most courses say it so. */
cudaError_t cudaMemPrefetchAsync(const void *at, size_t bytes, int device,
                                 cudaStream_t stream = nullptr);
cudaError_t cudaMemAdvise(const void *at, size_t bytes, cudaMemoryAdvise advice, int device);

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int device);
cudaError_t cudaDeviceGetMemPool(cudaMemPool_t *pool, int device);
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void *value);
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void *value);
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t bytes);

/* A symbol is given by itself, not by its address: cudaMemcpyToSymbol(x, ...). */
template <class T>
LAB_INLINE cudaError_t cudaMemcpyToSymbol(const T &symbol, const void *from, size_t bytes,
                                          size_t offset = 0,
                                          cudaMemcpyKind kind = cudaMemcpyHostToDevice, LAB_AT) {
    return ::lab::copy_symbol(&symbol, const_cast<void *>(from), bytes, offset, kind, nullptr, true,
                              "cudaMemcpyToSymbol", site);
}
template <class T>
LAB_INLINE cudaError_t cudaMemcpyFromSymbol(void *to, const T &symbol, size_t bytes,
                                            size_t offset = 0,
                                            cudaMemcpyKind kind = cudaMemcpyDeviceToHost, LAB_AT) {
    return ::lab::copy_symbol(&symbol, to, bytes, offset, kind, nullptr, false,
                              "cudaMemcpyFromSymbol", site);
}
template <class T>
LAB_INLINE cudaError_t cudaMemcpyToSymbolAsync(const T &symbol, const void *from, size_t bytes,
                                               size_t offset = 0,
                                               cudaMemcpyKind kind = cudaMemcpyHostToDevice,
                                               cudaStream_t stream = nullptr, LAB_AT) {
    return ::lab::copy_symbol(&symbol, const_cast<void *>(from), bytes, offset, kind, stream, true,
                              "cudaMemcpyToSymbolAsync", site);
}
template <class T>
LAB_INLINE cudaError_t cudaMemcpyFromSymbolAsync(void *to, const T &symbol, size_t bytes,
                                                 size_t offset = 0,
                                                 cudaMemcpyKind kind = cudaMemcpyDeviceToHost,
                                                 cudaStream_t stream = nullptr, LAB_AT) {
    return ::lab::copy_symbol(&symbol, to, bytes, offset, kind, stream, false,
                              "cudaMemcpyFromSymbolAsync", site);
}
template <class T, class S> LAB_INLINE cudaError_t cudaGetSymbolAddress(T **out, const S &symbol) {
    return ::lab::symbol_address((void **)out, &symbol);
}
template <class T> LAB_INLINE cudaError_t cudaGetSymbolSize(size_t *out, const T &symbol) {
    return ::lab::symbol_size(out, &symbol);
}

#endif
