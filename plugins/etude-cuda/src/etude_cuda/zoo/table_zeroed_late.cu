// Missing barrier after zeroing: a thread counts in a cell that another has yet to set to zero.
#include "zoo.cuh"

__global__ void histogram(const int *x, int *bins, int n)
{
    __shared__ int mine[64];
    int t = threadIdx.x;
    if (t < 64) {
        mine[t] = 0;  // EXPECT race
    }
#ifdef FIXED
    __syncthreads();
#endif
    for (int i = t; i < n; i += blockDim.x) {
        atomicAdd(&mine[x[i] % 64], 1);  // EXPECT race
    }
    __syncthreads();
    if (t < 64) {
        atomicAdd(&bins[t], mine[t]);
    }
}

int main()
{
    int *x = ramp<int>(512), *bins = filled(64, 0);
    histogram<<<1, 128>>>(x, bins, 512);
    finish();
    print_sum(bins, 64);
    CHECK(cudaFree(x));
}
