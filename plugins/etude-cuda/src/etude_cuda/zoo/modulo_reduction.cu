// A tree whose threads at work lie 2, 4, 8, ... apart: every warp stays busy with few of its lanes.
#include "zoo.cuh"

__global__ void sum(const int *x, int *y)
{
    __shared__ int cells[256];
    int t = threadIdx.x;
    cells[t] = x[t];
    __syncthreads();
#ifdef FIXED
    for (int step = 128; step > 0; step /= 2) {
        if (t < step) {
#else
    for (int step = 1; step < 256; step *= 2) {
        if (t % (2 * step) == 0) {
#endif
            cells[t] += cells[t + step];  // EXPECT branch-divergence
        }
        __syncthreads();
    }
    if (t == 0) {
        *y = cells[0];
    }
}

int main()
{
    int *x = ramp<int>(256), *y = filled(1, 0);
    sum<<<1, 256>>>(x, y);
    finish();
    print_sum(y, 1);
    CHECK(cudaFree(x));
}
