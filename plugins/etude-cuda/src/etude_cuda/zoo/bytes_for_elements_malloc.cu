// cudaMalloc with the number of elements: it wants bytes, and gives a quarter of the room.
#include "zoo.cuh"

__global__ void fill(float *x, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        x[i] = 1.0f;
    }
}

int main()
{
    const int n = 128;
    float *x;
#ifdef FIXED
    CHECK(cudaMalloc(&x, n * sizeof(float)));
#else
    CHECK(cudaMalloc(&x, n));  // EXPECT bytes-for-elements
#endif
    fill<<<2, 64>>>(x, n);
    finish();
    CHECK(cudaFree(x));
    std::printf("%d cells\n", n);
}
