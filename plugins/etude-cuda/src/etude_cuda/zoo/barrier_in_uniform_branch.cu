// Looks wrong and is right: barriers in a branch and in a loop that all threads of a block take
// alike.
#include "zoo.cuh"

__global__ void rotate(const int *x, int *y)
{
    __shared__ int cells[64];
    int t = threadIdx.x, value = x[blockIdx.x * 64 + t];
    if (blockIdx.x % 2 == 0) {
        for (int k = 0; k <= blockIdx.x; ++k) {
            cells[t] = value;
            __syncthreads();
            value = cells[(t + 1) % 64];
            __syncthreads();
        }
    }
    y[blockIdx.x * 64 + t] = value;
}

int main()
{
    int *x = ramp<int>(256), *y = filled(256, 0);
    rotate<<<4, 64>>>(x, y);
    finish();
    print_sum(y, 256);
    CHECK(cudaFree(x));
}
