// Stale shared memory: one scratch cell serves two sums in turn, and a slow thread finds the second
// where it looks for the first.
#include "zoo.cuh"

__global__ void moments(const float *x, float *y)
{
    __shared__ float total;
    int t = threadIdx.x;
    if (t == 0) {
        total = 0.0f;
    }
    __syncthreads();
    atomicAdd(&total, x[t]);
    __syncthreads();
    float mean = total / 64.0f;  // EXPECT race
#ifdef FIXED
    __syncthreads();
#endif
    if (t == 0) {
        total = 0.0f;  // EXPECT race
    }
    __syncthreads();
    atomicAdd(&total, (x[t] - mean) * (x[t] - mean));
    __syncthreads();
    y[t] = (x[t] - mean) * rsqrtf(total / 64.0f);
}

int main()
{
    float *x = ramp<float>(64), *y = filled(64, 0.0f);
    moments<<<1, 64>>>(x, y);
    finish();
    print_sum(y, 64);
    CHECK(cudaFree(x));
}
