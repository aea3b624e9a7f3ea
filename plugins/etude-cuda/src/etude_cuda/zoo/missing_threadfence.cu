// No __threadfence before the ticket: the last block may see the count and not yet the sums.
#include "zoo.cuh"

__device__ unsigned int tickets = 0;

__global__ void sum(const float *x, float *partial, float *y)
{
    __shared__ bool last;
    float mine = x[blockIdx.x * 32 + threadIdx.x];
    for (int offset = 16; offset > 0; offset /= 2) {
        mine += __shfl_xor_sync(ALL, mine, offset);
    }
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = mine;  // EXPECT race grid
#ifdef FIXED
        __threadfence();
#endif
        last = atomicAdd(&tickets, 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x == 0) {
#ifdef FIXED
        __threadfence();
#endif
        float all = 0.0f;
        for (int b = 0; b < gridDim.x; ++b) {
            all += partial[b];  // EXPECT race grid
        }
        *y = all;
    }
}

int main()
{
    float *x = ramp<float>(256), *partial = filled(8, 0.0f), *y = filled(1, 0.0f);
    sum<<<8, 32>>>(x, partial, y);
    finish();
    print_sum(y, 1);
    CHECK(cudaFree(x));
    CHECK(cudaFree(partial));
}
