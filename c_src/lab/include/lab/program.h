/* program.h: launches by pointer, and what a program asks about a kernel: the occupancy API.

   A launch by pointer needs the kernel's type. The source pass takes away the cast of
   cudaLaunchKernel((void *)k, ...); a pointer that is void * in the program itself is refused. */
#ifndef LAB_PROGRAM_H
#define LAB_PROGRAM_H

#include <utility>

#include "lab/kernel.h"
#include "lab/launch.h"
#include "lab/stream.h"

enum cudaLaunchAttributeID { cudaLaunchAttributeCooperative = 2, cudaLaunchAttributePriority = 8 };
union cudaLaunchAttributeValue {
    int cooperative;
    int priority;
};
struct cudaLaunchAttribute {
    cudaLaunchAttributeID id;
    cudaLaunchAttributeValue val;
};
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
    cudaLaunchAttribute *attrs;
    unsigned int numAttrs;
};

namespace lab {

/* The error that the launch left at once: it was refused. What goes wrong later shows later. */
cudaError_t status_of_launch();
cudaError_t no_such_kernel(const char *kernel, Site site);
cudaError_t function_attributes(cudaFuncAttributes *out, const char *kernel);
cudaError_t occupancy(int *blocks, int threads, size_t shared);

/* The block size with the most threads on an SM; shared(data, n) is what n threads need. */
cudaError_t best_block(int *grid, int *block, size_t (*shared)(void *, int), void *data, int limit);

template <class... P, size_t... I>
LAB_QUIET cudaError_t launch_unpacked(Launch launch, void (*kernel)(P...), void **arguments,
                                      std::index_sequence<I...>) {
    launch([&](auto &...a) LAB_QUIET { kernel(a...); },
           *static_cast<std::remove_reference_t<P> *>(arguments[I])...);
    return status_of_launch();
}

template <class... P>
LAB_QUIET cudaError_t launch_pointer(const char *name, Site site, bool cooperative,
                                     void (*kernel)(P...), dim3 grid, dim3 block, void **arguments,
                                     size_t shared = 0, cudaStream_t stream = nullptr) {
    Launch launch(name, site.file, site.line, grid, block, shared, stream);
    launch.info.cooperative = cooperative;
    return launch_unpacked(launch, kernel, arguments, std::index_sequence_for<P...>());
}

inline cudaError_t launch_pointer(const char *name, Site site, bool, const void *, dim3, dim3,
                                  void **, size_t = 0, cudaStream_t = nullptr) {
    return no_such_kernel(name, site);
}

template <class... P, class... A>
LAB_QUIET cudaError_t launch_config(const char *name, Site site, const cudaLaunchConfig_t *config,
                                    void (*kernel)(P...), A... arguments) {
    Launch launch(name, site.file, site.line, config->gridDim, config->blockDim,
                  config->dynamicSmemBytes, config->stream);
    for (unsigned i = 0; i < config->numAttrs; i++)
        if (config->attrs[i].id == cudaLaunchAttributeCooperative)
            launch.info.cooperative = config->attrs[i].val.cooperative != 0;
    launch([&](auto &...a) LAB_QUIET { kernel(a...); }, static_cast<P>(arguments)...);
    return status_of_launch();
}

}

#define cudaLaunchKernel(kernel, ...)                                                              \
    ::lab::launch_pointer(#kernel, ::lab::Site::here(), false, kernel, __VA_ARGS__)
#define cudaLaunchCooperativeKernel(kernel, ...)                                                   \
    ::lab::launch_pointer(#kernel, ::lab::Site::here(), true, kernel, __VA_ARGS__)
#define cudaLaunchKernelEx(config, ...)                                                            \
    ::lab::launch_config(#__VA_ARGS__, ::lab::Site::here(), config, __VA_ARGS__)
#define cudaFuncGetAttributes(out, kernel) ::lab::function_attributes(out, #kernel)

template <class T>
LAB_INLINE cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, T, int threads,
                                                                     size_t shared) {
    return ::lab::occupancy(blocks, threads, shared);
}
template <class T> LAB_INLINE cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int *blocks, T, int threads, size_t shared, unsigned) {
    return ::lab::occupancy(blocks, threads, shared);
}
template <class T> LAB_QUIET inline cudaError_t
cudaOccupancyMaxPotentialBlockSize(int *grid, int *block, T, size_t shared = 0, int limit = 0) {
    return ::lab::best_block(
        grid, block, [](void *fixed, int) { return *static_cast<size_t *>(fixed); }, &shared,
        limit);
}
template <class F, class T> LAB_QUIET inline cudaError_t
cudaOccupancyMaxPotentialBlockSizeVariableSMem(int *grid, int *block, T, F shared, int limit = 0) {
    return ::lab::best_block(
        grid, block,
        [](void *function, int threads) {
            return static_cast<size_t>((*static_cast<F *>(function))(threads));
        },
        &shared, limit);
}

#endif
