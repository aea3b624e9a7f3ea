// Shared memory overrun: room for the block, and none for the halo.
#include "zoo.cuh"

constexpr int BLOCK = 64;

__global__ void smooth(const float *x, float *y, int n)
{
#ifdef FIXED
    __shared__ float cells[BLOCK + 2];
#else
    __shared__ float cells[BLOCK];
#endif
    int t = threadIdx.x, first = blockIdx.x * BLOCK - 1;
    for (int k = t; k < BLOCK + 2; k += BLOCK) {
        cells[k] = x[min(max(first + k, 0), n - 1)];  // EXPECT out-of-bounds
    }
    __syncthreads();
    y[first + 1 + t] = (cells[t] + cells[t + 1] + cells[t + 2]) / 3.0f;  // EXPECT out-of-bounds
}

int main()
{
    float *x = ramp<float>(128), *y = filled(128, 0.0f);
    smooth<<<2, BLOCK>>>(x, y, 128);
    finish();
    print_sum(y, 128);
    CHECK(cudaFree(x));
}
