// Missing atomic in global memory: all threads of all blocks add to one cell.
#include "zoo.cuh"

__global__ void count(const int *x, int *even, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && x[i] % 2 == 0) {
#ifdef FIXED
        atomicAdd(even, 1);
#else
        *even += 1;  // EXPECT race
#endif
    }
}

int main()
{
    int *x = ramp<int>(200), *even = filled(1, 0);
    count<<<4, 64>>>(x, even, 200);
    finish();
    print_sum(even, 1);
    CHECK(cudaFree(x));
}
