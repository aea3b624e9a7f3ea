// No grid sync between two phases: __syncthreads holds one block, and the sums of others are read.
#include "zoo.cuh"
#include <cooperative_groups.h>

namespace cg = cooperative_groups;

__global__ void normalise(float *x, float *sums)
{
    auto grid = cg::this_grid();
    int i = grid.thread_rank();
    float pair = x[i] + __shfl_xor_sync(ALL, x[i], 1);
    if (i % 32 == 0) {
        sums[blockIdx.x] = pair;  // EXPECT race grid
    }
#ifdef FIXED
    grid.sync();
#else
    __syncthreads();
#endif
    float all = 0.0f;
    for (int b = 0; b < gridDim.x; ++b) {
        all += sums[b];  // EXPECT race grid
    }
    x[i] = x[i] / all;
}

int main()
{
    float *x = ramp<float>(128), *sums = filled(4, 0.0f);
    void *arguments[] = {&x, &sums};
    CHECK(cudaLaunchCooperativeKernel((void *)normalise, dim3(4), dim3(32), arguments, 0, nullptr));
    finish();
    print_sum(x, 128);
    CHECK(cudaFree(sums));
}
