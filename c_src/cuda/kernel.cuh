/* kernel.cuh: what every kernel in this folder and in plain/ starts with.
   On the CPU: c_src/cpu/kernel.h, with the same names for the same things.

   A file is compiled once per dtype, from one text:
     -DETUDE_REAL=32 or 64   real is float or double, names end in _f32 or _f64
     -DETUDE_INT=64 or 8     real is int64_t or uint8_t (bool), names end in _i64, _b8; only for
                             files that mention ETUDE_INT, which guard their float-only part
   nvcc builds it for a card, and g++ for the lab, which runs the same threads on the CPU.
   So a struct with methods exists once per dtype, under one name: such structs stand in an unnamed
   namespace, or the linker would take one for all.

   On a device, arrays and etude_scratch are memory of the device; sizes and geometry are on the
   host. A kernel puts its work into the queue ctx->stream and returns. It waits for the device only
   where the host must know something, such as whether an index was out of range. Scratch memory is
   freed in the order of the queue, and a second request may return what the first did, so a kernel
   asks once, for all that it needs. */
#ifndef ETUDE_KERNEL_CUH
#define ETUDE_KERNEL_CUH

#include <cuda_runtime.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include "etude.h"

#if !defined(ETUDE_REAL) && !defined(ETUDE_INT)
#define ETUDE_REAL 32
#endif

#if defined(ETUDE_INT) && ETUDE_INT == 64
typedef int64_t real;
#define ETUDE_SUFFIX _i64
#elif defined(ETUDE_INT)
typedef uint8_t real;
#define ETUDE_SUFFIX _b8
#elif ETUDE_REAL == 64
typedef double real;
#define ETUDE_SUFFIX _f64
#else
typedef float real;
#define ETUDE_SUFFIX _f32
#endif

/* ETUDE_NAME(softmax) is etude_softmax_f32 */
#define ETUDE_PASTE_(a, b) etude_##a##b
#define ETUDE_PASTE(a, b) ETUDE_PASTE_(a, b)
#define ETUDE_NAME(op) ETUDE_PASTE(op, ETUDE_SUFFIX)

/* ETUDE_KERNEL(rows, softmax) begins the definition of etude_softmax_f32 and says that it is of the
   function type rows of etude.h: with other parameters it does not compile. */
#define ETUDE_TYPE_(type, suffix) etude_##type##_fn##suffix
#define ETUDE_TYPE(type, suffix) ETUDE_TYPE_(type, suffix)
#define ETUDE_KERNEL(type, op)                                                                    \
    extern "C" ETUDE_TYPE(type, ETUDE_SUFFIX) ETUDE_NAME(op);                                     \
    extern "C" int ETUDE_NAME(op)

#define ETUDE_DEVICE static __device__ __forceinline__
#define ETUDE_METHOD __device__ __forceinline__ /* of a struct */

/* ---- On the host ----------------------------------------------------------------------------- */

static inline cudaStream_t stream_of(etude_context *ctx)
{
    return (cudaStream_t)ctx->stream;
}

/* Turns what CUDA says into a status of etude.h. Whatever went wrong is told in ctx->error,
   together with the name of the kernel or the call. */
static inline int checked(etude_context *ctx, const char *what, cudaError_t status)
{
    if (status == cudaSuccess)
        return ETUDE_OK;
    snprintf(ctx->error, sizeof ctx->error, "%s: %s (%s)", what, cudaGetErrorString(status),
             cudaGetErrorName(status));
    return status == cudaErrorMemoryAllocation ? ETUDE_NO_MEMORY : ETUDE_FAILED;
}

/* Stands behind every launch: kernel<<<grid, block, 0, stream_of(ctx)>>>(...);
   return launched(ctx, "kernel"); */
static inline int launched(etude_context *ctx, const char *kernel)
{
    return checked(ctx, kernel, cudaGetLastError());
}

/* Copies a few bytes from the device to the host, after all that is in the queue. It waits. */
static inline int fetch(etude_context *ctx, const char *what, void *to, const void *from,
                        size_t bytes)
{
    cudaError_t status = cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_of(ctx));
    if (status == cudaSuccess)
        status = cudaStreamSynchronize(stream_of(ctx));
    return checked(ctx, what, status);
}

/* Fills device memory with one byte, in the order of the queue. */
static inline int filled(etude_context *ctx, const char *what, void *to, int byte, size_t bytes)
{
    if (bytes == 0)
        return ETUDE_OK;
    return checked(ctx, what, cudaMemsetAsync(to, byte, bytes, stream_of(ctx)));
}

/* A flag in device memory, which a kernel sets where it meets what the op refuses. */
enum { FLAG = 256 }; /* bytes of scratch memory for the flag; what lies behind it is aligned */

/* Waits for all that is queued, and says what the flag says. */
static inline int check_ended(etude_context *ctx, const char *op, const int *flag)
{
    int bad = 0, status = fetch(ctx, op, &bad, flag, sizeof bad);
    return status != ETUDE_OK ? status : bad ? ETUDE_BAD_INDEX : ETUDE_OK;
}

/* How many pieces of size `step` cover n. */
static __host__ __device__ inline int64_t pieces(int64_t n, int64_t step)
{
    return (n + step - 1) / step;
}

static __host__ __device__ inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static __host__ __device__ inline int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

enum {
    THREADS = 256,           /* of a block, where nothing speaks for another number */
    MOST_BLOCKS = 65535,     /* of a grid whose threads walk on by strides, in y and z of any */
    WARP = 32,
    RESIDENT = 3             /* blocks of THREADS at least on a multiprocessor. Not told, nvcc aims
                                at as many as fit, and keeps in memory what registers do not hold */
};

/* Blocks of THREADS for n items, each thread taking one item or, by strides of the grid, several:
       for (int64_t i = first_item(); i < n; i += all_threads()) */
static inline unsigned blocks_for(int64_t n)
{
    return (unsigned)most(1, least(pieces(n, THREADS), MOST_BLOCKS));
}

/* THREADS, or the warps that n items fill, if they are fewer. */
static inline unsigned threads_for(int64_t n)
{
    return (unsigned)least(THREADS, most(1, pieces(n, WARP)) * WARP);
}

ETUDE_DEVICE int64_t first_item()
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

ETUDE_DEVICE int64_t all_threads()
{
    return (int64_t)gridDim.x * blockDim.x;
}

/* ---- Loads of 16 bytes ----------------------------------------------------------------------- */

/* N numbers that one instruction loads or stores. Its address is a multiple of its size. */
template <int N, class T = real> struct alignas(N * sizeof(T)) pack {
    T at[N];
};

enum { PACK = 16 / (int)sizeof(real) }; /* numbers in 16 bytes, the most that one load brings */

template <int N, class T> ETUDE_DEVICE pack<N, T> load(const T *from)
{
    return *(const pack<N, T> *)from;
}

template <int N, class T> ETUDE_DEVICE void store(T *to, const pack<N, T> &x)
{
    *(pack<N, T> *)to = x;
}

/* Whether an array may be read 16 bytes at a time. NULL may: nobody reads it. */
static inline bool aligned(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}

/* ---- Arithmetic ------------------------------------------------------------------------------ */

ETUDE_DEVICE float exp_of(float x) { return expf(x); }
ETUDE_DEVICE double exp_of(double x) { return exp(x); }
ETUDE_DEVICE float log_of(float x) { return logf(x); }
ETUDE_DEVICE double log_of(double x) { return log(x); }
ETUDE_DEVICE float sqrt_of(float x) { return sqrtf(x); }
ETUDE_DEVICE double sqrt_of(double x) { return sqrt(x); }

/* ---- Warps and blocks ------------------------------------------------------------------------

   Results are the same in every thread and in every run: a butterfly adds up the same pairs in each
   lane, and the parts of the warps add up in their order. */

#define EVERY_LANE 0xffffffffu

template <class T> ETUDE_DEVICE T warp_sum(T x)
{
    for (int apart = WARP / 2; apart > 0; apart /= 2)
        x += __shfl_xor_sync(EVERY_LANE, x, apart);
    return x;
}

/* The largest number. Who may meet a NaN passes it over before. */
template <class T> ETUDE_DEVICE T warp_max(T x)
{
    for (int apart = WARP / 2; apart > 0; apart /= 2) {
        T other = __shfl_xor_sync(EVERY_LANE, x, apart);
        x = other > x ? other : x;
    }
    return x;
}

ETUDE_DEVICE int lane_of_warp()
{
    return (int)(threadIdx.x % WARP);
}

/* The sum over all threads of a block of one dimension, in each of them. All of them call it, and
   blockDim.x is a multiple of the warp. */
template <class T> ETUDE_DEVICE T block_sum(T x)
{
    __shared__ T part[32];
    x = warp_sum(x);
    __syncthreads(); /* the call before may still read part */
    if (lane_of_warp() == 0)
        part[threadIdx.x / WARP] = x;
    __syncthreads();
    T sum = part[0];
    for (int warp = 1; warp < (int)blockDim.x / WARP; warp++)
        sum += part[warp];
    return sum;
}

template <class T> ETUDE_DEVICE T block_max(T x)
{
    __shared__ T part[32];
    x = warp_max(x);
    __syncthreads();
    if (lane_of_warp() == 0)
        part[threadIdx.x / WARP] = x;
    __syncthreads();
    T top = part[0];
    for (int warp = 1; warp < (int)blockDim.x / WARP; warp++)
        top = part[warp] > top ? part[warp] : top;
    return top;
}

#endif
