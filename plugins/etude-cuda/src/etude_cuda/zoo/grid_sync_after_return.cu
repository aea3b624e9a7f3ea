// A block returns before the sync of the grid: the others wait for it forever.
#include "zoo.cuh"
#include <cooperative_groups.h>

namespace cg = cooperative_groups;

__global__ void shift(float *x, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
#ifndef FIXED
    if (i >= n) {
        return;
    }
#endif
    float next = x[i + 1 < n ? i + 1 : 0];
    cg::this_grid().sync();  // EXPECT deadlock
    if (i < n) {
        x[i] = next;
    }
}

int main()
{
    float *x = ramp<float>(96);
    int n = 96;
    void *arguments[] = {&x, &n};
    CHECK(cudaLaunchCooperativeKernel((void *)shift, dim3(4), dim3(32), arguments, 0, nullptr));
    finish();
    print_sum(x, 96);
}
