// A guard that is too strict: the last element is never written, and the next kernel reads it.
#include "zoo.cuh"

__global__ void square(const float *x, float *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
#ifdef FIXED
    if (i < n) {
#else
    if (i < n - 1) {
#endif
        y[i] = x[i] * x[i];
    }
}

__global__ void sum(const float *y, float *total, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        atomicAdd(total, y[i]);  // EXPECT uninitialized
    }
}

int main()
{
    const int n = 100;
    float *x = ramp<float>(n), *total = filled(1, 0.0f), *y;
    CHECK(cudaMalloc(&y, n * sizeof(float)));
    square<<<2, 64>>>(x, y, n);
    sum<<<2, 64>>>(y, total, n);
    finish();
    print_sum(total, 1);
    CHECK(cudaFree(x));
    CHECK(cudaFree(y));
}
