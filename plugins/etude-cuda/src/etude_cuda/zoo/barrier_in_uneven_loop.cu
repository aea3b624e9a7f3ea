// A barrier in a loop that threads leave at different turns: n is no multiple of the block.
#include "zoo.cuh"

__global__ void pairs(const int *x, int *y, int n)
{
    __shared__ int cells[64];
    int t = threadIdx.x, sum = 0;
#ifdef FIXED
    for (int first = 0; first < n; first += 64) {
        int i = first + t;
        cells[t] = i < n ? x[i] : 0;
        __syncthreads();
        sum += cells[63 - t];
        __syncthreads();
    }
#else
    for (int i = t; i < n; i += 64) {
        cells[t] = x[i];
        __syncthreads();  // EXPECT barrier-divergence
        sum += cells[63 - t];
        __syncthreads();
    }
#endif
    cells[t] = sum;
    __syncthreads();  // EXPECT barrier-divergence
    y[t] = cells[t ^ 1];
}

int main()
{
    int *x = ramp<int>(100), *y = filled(64, 0);
    pairs<<<1, 64>>>(x, y, 100);
    finish();
    print_sum(y, 64);
    CHECK(cudaFree(x));
}
