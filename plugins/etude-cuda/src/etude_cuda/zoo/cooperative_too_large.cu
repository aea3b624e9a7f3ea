// A cooperative launch of more blocks than a card holds at once: they could not wait for each
// other.
#include "zoo.cuh"
#include <cooperative_groups.h>

__global__ void count(int *x)
{
    cooperative_groups::this_grid().sync();
    if (threadIdx.x == 0) {
        atomicAdd(x, 1);
    }
}

int main()
{
    int *x = filled(1, 0), blocks = 100000, fit = 0, sms = 0;
    CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, count, 64, 0));
    CHECK(cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, 0));
#ifdef FIXED
    blocks = fit * sms < 8 ? fit * sms : 8;
#endif
    void *with[] = {&x};
    CHECK(cudaLaunchCooperativeKernel(count, blocks, 64, with, 0, 0));  // EXPECT launch-failed
    finish();
    print_sum(x, 1);
}
