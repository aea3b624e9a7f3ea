// A sum of n numbers, as a ladder: each rung mends what made the one before it slow.
//
//     reduction_ladder [n]
//
// The first three rungs are slow on purpose, and the lab's counters say so at the lines marked
// EXPECT: a chunk for each thread is uncoalesced, a modulo leaves warps with few lanes at work, and
// strided cells of shared memory share banks. From the fourth rung on nothing is to be said.
#include "course.cuh"
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>

namespace cg = cooperative_groups;

constexpr int BLOCK = 256;
constexpr int WARPS = BLOCK / 32;

// Rung 0. Each thread adds a chunk of its own: neighbours read far apart.
__global__ void chunks(const float *x, float *sum, int n)
{
    int all = gridDim.x * blockDim.x, t = blockIdx.x * blockDim.x + threadIdx.x;
    int each = (n + all - 1) / all;
    float mine = 0.0f;
    for (int i = t * each; i < (t + 1) * each && i < n; ++i) {
        mine += x[i];  // EXPECT uncoalesced
    }
    atomicAdd(sum, mine);
}

// Rung 1. A tree in shared memory whose threads at work lie 2, 4, 8, ... apart.
__global__ void modulo(const float *x, float *sum, int n)
{
    extern __shared__ float cells[];
    int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    cells[t] = i < n ? x[i] : 0.0f;
    __syncthreads();
    for (int step = 1; step < blockDim.x; step *= 2) {
        if (t % (2 * step) == 0) {
            cells[t] += cells[t + step];  // EXPECT branch-divergence
        }
        __syncthreads();
    }
    if (t == 0) {
        atomicAdd(sum, cells[0]);
    }
}

// Rung 2. The first threads work, on cells that lie 2, 4, 8, ... apart.
__global__ void strided(const float *x, float *sum, int n)
{
    extern __shared__ float cells[];
    int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    cells[t] = i < n ? x[i] : 0.0f;
    __syncthreads();
    for (int step = 1; step < blockDim.x; step *= 2) {
        int at = 2 * step * t;
        if (at < blockDim.x) {
            cells[at] += cells[at + step];  // EXPECT bank-conflict
        }
        __syncthreads();
    }
    if (t == 0) {
        atomicAdd(sum, cells[0]);
    }
}

// Rung 3. The first threads work, on cells that lie side by side.
__global__ void sequential(const float *x, float *sum, int n)
{
    extern __shared__ float cells[];
    int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    cells[t] = i < n ? x[i] : 0.0f;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half >>= 1) {
        if (t < half) {
            cells[t] += cells[t + half];
        }
        __syncthreads();
    }
    if (t == 0) {
        atomicAdd(sum, cells[0]);
    }
}

// The sum over a warp, in lane 0.
__device__ float warp_sum(float value)
{
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
        value += __shfl_down_sync(0xffffffff, value, offset);
    }
    return value;
}

// The sum over a block, in thread 0.
__device__ float block_sum(float value)
{
    __shared__ float of_warp[WARPS];
    int lane = threadIdx.x % warpSize, warp = threadIdx.x / warpSize;
    value = warp_sum(value);
    if (lane == 0) {
        of_warp[warp] = value;
    }
    __syncthreads();
    if (warp == 0) {
        value = warp_sum(lane < WARPS ? of_warp[lane] : 0.0f);
    }
    return value;
}

// Rung 4. Warps add in registers; the grid strides over the array.
__global__ void shuffles(const float *x, float *sum, int n)
{
    float mine = 0.0f;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        mine += x[i];
    }
    mine = block_sum(mine);
    if (threadIdx.x == 0) {
        atomicAdd(sum, mine);
    }
}

__device__ float partial[1024];
__device__ unsigned int done = 0;

// Rung 5. No atomic addition: the block that finishes last adds what the others left.
__global__ void last_block(const float *x, float *sum, int n)
{
    __shared__ bool last;
    auto block = cg::this_thread_block();
    auto tile = cg::tiled_partition<32>(block);
    __shared__ float of_tile[WARPS];
    float mine = 0.0f;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        mine += x[i];
    }
    mine = cg::reduce(tile, mine, cg::plus<float>());
    if (tile.thread_rank() == 0) {
        of_tile[tile.meta_group_rank()] = mine;
    }
    block.sync();
    if (block.thread_rank() == 0) {
        float all = 0.0f;
        for (float part : of_tile) {
            all += part;
        }
        partial[blockIdx.x] = all;
        __threadfence();
        last = atomicInc(&done, gridDim.x - 1) == gridDim.x - 1;
    }
    block.sync();
    if (last && block.thread_rank() == 0) {
        __threadfence();
        float all = 0.0f;
        for (int b = 0; b < gridDim.x; ++b) {
            all += partial[b];
        }
        *sum = all;
    }
}

struct Rung {
    const char *name;
    void (*kernel)(const float *, float *, int);
    int each;  // elements for a thread
};

int main(int argc, char **argv)
{
    const int n = argument(argc, argv, 1, 20000);
    std::vector<float> x = uniform(n, 3);
    double right = 0.0;
    for (float value : x) {
        right += value;
    }
    float *d_x, *d_sum;
    CHECK(cudaMalloc(&d_x, n * sizeof(float)));
    CHECK(cudaMalloc(&d_sum, sizeof(float)));
    CHECK(cudaMemcpy(d_x, x.data(), n * sizeof(float), cudaMemcpyHostToDevice));

    const Rung ladder[] = {{"chunks", chunks, 16},         {"modulo", modulo, 1},
                           {"strided", strided, 1},        {"sequential", sequential, 1},
                           {"shuffles", shuffles, 8},      {"last_block", last_block, 8}};
    int wrong = 0;
    for (const Rung &rung : ladder) {
        int blocks = blocks_for(n, BLOCK * rung.each);
        if (rung.kernel == last_block && blocks > 1024) {
            blocks = 1024;
        }
        CHECK(cudaMemset(d_sum, 0, sizeof(float)));
        rung.kernel<<<blocks, BLOCK, BLOCK * sizeof(float)>>>(d_x, d_sum, n);
        CHECK(cudaGetLastError());
        float sum;
        CHECK(cudaMemcpy(&sum, d_sum, sizeof(float), cudaMemcpyDeviceToHost));
        wrong += verdict(rung.name, std::fabs(sum - right), 1e-6 * n);
    }
    CHECK(cudaFree(d_x));
    CHECK(cudaFree(d_sum));
    return wrong;
}
