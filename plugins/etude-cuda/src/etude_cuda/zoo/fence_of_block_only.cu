// A fence that is too narrow: __threadfence_block orders for the own block, and another one reads.
#include "zoo.cuh"

__device__ unsigned int tickets = 0;

__device__ void fence()
{
#ifdef FIXED
    __threadfence();
#else
    __threadfence_block();
#endif
}

__global__ void largest(const float *x, float *partial, float *y)
{
    if (threadIdx.x != 0) {
        return;
    }
    partial[blockIdx.x] = fmaxf(x[2 * blockIdx.x], x[2 * blockIdx.x + 1]);  // EXPECT race grid
    fence();
    if (atomicAdd(&tickets, 1) == gridDim.x - 1) {
        fence();
        float most = partial[0];  // EXPECT race grid
        for (int b = 1; b < gridDim.x; ++b) {
            most = fmaxf(most, partial[b]);
        }
        *y = most;
    }
}

int main()
{
    float *x = ramp<float>(16), *partial = filled(8, 0.0f), *y = filled(1, 0.0f);
    largest<<<8, 32>>>(x, partial, y);
    finish();
    print_sum(y, 1);
    CHECK(cudaFree(x));
    CHECK(cudaFree(partial));
}
