// A grid of no blocks: n / 256 rounds down, and n is 100.
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
    const int n = 100;
    float *x = filled(n, 0.0f);
#ifdef FIXED
    const int blocks = (n + 255) / 256;
#else
    const int blocks = n / 256;
#endif
    fill<<<blocks, 256>>>(x, n);  // EXPECT launch-failed
    finish();
    print_sum(x, n);
}
