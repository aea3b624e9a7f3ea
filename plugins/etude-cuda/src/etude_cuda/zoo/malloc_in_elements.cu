// cudaMalloc with the number of elements again, and no copy to betray it: the kernel finds the end.
#include "zoo.cuh"

__global__ void fill(float *x, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        x[i] = 1.0f;  // EXPECT out-of-bounds
    }
}

int main()
{
    const int n = 128;
    float *x;
#ifdef FIXED
    CHECK(cudaMalloc(&x, n * sizeof(float)));
#else
    CHECK(cudaMalloc(&x, n));
#endif
    fill<<<2, 64>>>(x, n);
    finish();
    CHECK(cudaFree(x));
    std::printf("%d cells\n", n);
}
