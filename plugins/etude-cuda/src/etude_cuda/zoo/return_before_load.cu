// Early return before the load: threads that left count as arrived at the barrier, and the cells
// they should have filled are read all the same.
#include "zoo.cuh"

__global__ void reverse_tiles(const float *x, float *y, int n)
{
    __shared__ float cells[64];
    int t = threadIdx.x, i = blockIdx.x * 64 + t;
#ifdef FIXED
    cells[t] = i < n ? x[i] : 0.0f;
    __syncthreads();
    if (i >= n) {
        return;
    }
#else
    if (i >= n) {
        return;
    }
    cells[t] = x[i];
    __syncthreads();
#endif
    y[i] = cells[63 - t];  // EXPECT uninitialized
}

int main()
{
    float *x = ramp<float>(100), *y = filled(100, 0.0f);
    reverse_tiles<<<2, 64>>>(x, y, 100);
    finish();
    print_sum(y, 100);
    CHECK(cudaFree(x));
}
