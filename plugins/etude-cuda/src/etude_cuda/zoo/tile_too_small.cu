// A cooperative-group tile that is too small: 16 lanes wait for each other, and read the cells of
// the other 16.
#include "zoo.cuh"
#include <cooperative_groups.h>

namespace cg = cooperative_groups;

__global__ void reverse(float *x)
{
    __shared__ float cells[32];
#ifdef FIXED
    auto tile = cg::tiled_partition<32>(cg::this_thread_block());
#else
    auto tile = cg::tiled_partition<16>(cg::this_thread_block());
#endif
    int t = threadIdx.x;
    cells[t] = x[t];  // EXPECT race warp
    tile.sync();
    x[t] = cells[31 - t];  // EXPECT race warp
}

int main()
{
    float *x = ramp<float>(32);
    reverse<<<1, 32>>>(x);
    finish();
    print_sum(x, 32);
}
