// Memory from cudaMalloc is not zero to begin with: the kernel adds to what lay there.
#include "zoo.cuh"

__global__ void accumulate(const float *x, float *y)
{
    y[threadIdx.x] += x[threadIdx.x];  // EXPECT uninitialized
}

int main()
{
    float *x = ramp<float>(64), *y;
    CHECK(cudaMalloc(&y, 64 * sizeof(float)));
#ifdef FIXED
    CHECK(cudaMemset(y, 0, 64 * sizeof(float)));
#endif
    accumulate<<<1, 64>>>(x, y);
    finish();
    print_sum(y, 64);
    CHECK(cudaFree(x));
}
