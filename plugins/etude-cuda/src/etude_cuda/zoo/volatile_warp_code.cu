// Volatile instead of __syncwarp: it keeps values out of registers and orders no lane after
// another. This is how reductions were written before Volta.
#include "zoo.cuh"

__device__ void last_warp(volatile float *cells, int t)
{
#ifdef FIXED
    for (int half = 32; half > 0; half /= 2) {
        float other = cells[t + half];
        __syncwarp();
        cells[t] = cells[t] + other;
        __syncwarp();
    }
#else
    cells[t] = cells[t] + cells[t + 32];
    cells[t] = cells[t] + cells[t + 16];  // EXPECT race warp
    cells[t] = cells[t] + cells[t + 8];   // EXPECT race warp
    cells[t] = cells[t] + cells[t + 4];   // EXPECT race warp
    cells[t] = cells[t] + cells[t + 2];   // EXPECT race warp
    cells[t] = cells[t] + cells[t + 1];   // EXPECT race warp
#endif
}

__global__ void sum(const float *x, float *y)
{
    __shared__ float cells[64];
    int t = threadIdx.x;
    cells[t] = x[t];
    __syncthreads();
    if (t < 32) {
        last_warp(cells, t);
    }
    if (t == 0) {
        *y = cells[0];
    }
}

int main()
{
    float *x = ramp<float>(64), *y = filled(1, 0.0f);
    sum<<<1, 64>>>(x, y);
    finish();
    print_sum(y, 1);
    CHECK(cudaFree(x));
}
