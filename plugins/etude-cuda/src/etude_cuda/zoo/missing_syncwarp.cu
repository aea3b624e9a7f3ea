// Missing __syncwarp at the end of a turn: a lane refills the warp's cells while another reads.
#include "zoo.cuh"

__global__ void rotate(const int *x, int *y, int turns)
{
    __shared__ int cells[4][32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int value = x[threadIdx.x];
    for (int k = 0; k < turns; ++k) {
        cells[warp][lane] = value;  // EXPECT race warp
        __syncwarp();
        value = cells[warp][(lane + 1) % 32];  // EXPECT race warp
#ifdef FIXED
        __syncwarp();
#endif
    }
    y[threadIdx.x] = value;
}

int main()
{
    int *x = ramp<int>(128), *y = filled(128, 0);
    rotate<<<1, 128>>>(x, y, 3);
    finish();
    print_sum(y, 128);
    CHECK(cudaFree(x));
}
