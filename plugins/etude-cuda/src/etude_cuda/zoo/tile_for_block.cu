// The wrong group waits: the sync of a tile orders one warp, while the sum is over all four.
#include "zoo.cuh"
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>

namespace cg = cooperative_groups;

__global__ void sum(const float *x, float *y)
{
    __shared__ float of_warp[4];
    auto block = cg::this_thread_block();
    auto warp = cg::tiled_partition<32>(block);
    float mine = cg::reduce(warp, x[threadIdx.x], cg::plus<float>());
    if (warp.thread_rank() == 0) {
        of_warp[warp.meta_group_rank()] = mine;  // EXPECT race block
    }
#ifdef FIXED
    block.sync();
#else
    warp.sync();
#endif
    y[threadIdx.x] = of_warp[0] + of_warp[1] + of_warp[2] + of_warp[3];  // EXPECT race block
}

int main()
{
    float *x = ramp<float>(128), *y = filled(128, 0.0f);
    sum<<<1, 128>>>(x, y);
    finish();
    print_sum(y, 128);
    CHECK(cudaFree(x));
}
