// cudaMemset with the number of elements: three quarters of the sums start from what lay there.
#include "zoo.cuh"

__global__ void accumulate(const int *x, int *y)
{
    y[threadIdx.x] += x[threadIdx.x];  // EXPECT uninitialized
}

int main()
{
    const int n = 128;
    int *x = ramp<int>(n), *y;
    CHECK(cudaMalloc(&y, n * sizeof(int)));
#ifdef FIXED
    CHECK(cudaMemset(y, 0, n * sizeof(int)));
#else
    CHECK(cudaMemset(y, 0, n));
#endif
    accumulate<<<1, n>>>(x, y);
    finish();
    print_sum(y, n);
    CHECK(cudaFree(x));
}
