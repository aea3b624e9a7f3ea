// Looks wrong and is right: no __syncthreads, because each warp keeps to its own 32 cells and
// __syncwarp orders its lanes.
#include "zoo.cuh"

__global__ void reverse_warps(const int *x, int *y)
{
    __shared__ int cells[4][32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int k = 0; k < 3; ++k) {
        cells[warp][lane] = x[threadIdx.x] + k;
        __syncwarp();
        y[threadIdx.x] = cells[warp][31 - lane];
        __syncwarp();
    }
}

int main()
{
    int *x = ramp<int>(128), *y = filled(128, 0);
    reverse_warps<<<1, 128>>>(x, y);
    finish();
    print_sum(y, 128);
    CHECK(cudaFree(x));
}
