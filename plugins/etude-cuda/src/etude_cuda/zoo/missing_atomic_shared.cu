// Missing atomic in shared memory: two threads read a count, add one, and one addition is lost.
#include "zoo.cuh"

__global__ void histogram(const int *x, int *bins)
{
    __shared__ int mine[32];
    int t = threadIdx.x;
    if (t < 32) {
        mine[t] = 0;
    }
    __syncthreads();
#ifdef FIXED
    atomicAdd(&mine[x[t] % 32], 1);
#else
    mine[x[t] % 32] += 1;  // EXPECT race
#endif
    __syncthreads();
    if (t < 32) {
        bins[t] = mine[t];
    }
}

int main()
{
    int *x = ramp<int>(256), *bins = filled(32, 0);
    histogram<<<1, 256>>>(x, bins);
    finish();
    print_sum(bins, 32);
    CHECK(cudaFree(x));
}
