// A barrier in a branch: half of the block waits at one __syncthreads, the rest at another.
#include "zoo.cuh"

__global__ void fold(const float *x, float *y)
{
    __shared__ float cells[64];
    int t = threadIdx.x;
    cells[t] = x[t];
    __syncthreads();
    float value = cells[t];
    if (t < 32) {
        value += cells[t + 32];
#ifndef FIXED
        __syncthreads();  // EXPECT barrier-divergence
#endif
    }
#ifdef FIXED
    __syncthreads();
#endif
    cells[t] = value;
    __syncthreads();  // EXPECT barrier-divergence
    y[t] = cells[t ^ 1];
}

int main()
{
    float *x = ramp<float>(64), *y = filled(64, 0.0f);
    fold<<<1, 64>>>(x, y);
    finish();
    print_sum(y, 64);
    CHECK(cudaFree(x));
}
