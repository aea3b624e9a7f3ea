// Two blocks write one cell: tiles of 64 laid 63 apart overlap at their ends, with unequal values.
#include "zoo.cuh"

__global__ void label(int *y, int n)
{
#ifdef FIXED
    int i = blockIdx.x * blockDim.x + threadIdx.x;
#else
    int i = blockIdx.x * (blockDim.x - 1) + threadIdx.x;
#endif
    if (i < n) {
        y[i] = blockIdx.x;  // EXPECT race grid
    }
}

int main()
{
    int *y = filled(250, 0);
    label<<<4, 64>>>(y, 250);
    finish();
    print_sum(y, 250);
}
