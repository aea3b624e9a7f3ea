// Missing atomic in global memory: all threads of all blocks add to one cell.
#include "zoo.cuh"

__global__ void count(const int *x, int *total, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && x[i] % 4 != 0) {
#ifdef FIXED
        atomicAdd(total, 1);
#else
        *total += 1;  // EXPECT race
#endif
    }
}

int main()
{
    int *x = ramp<int>(200), *total = filled(1, 0);
    count<<<4, 64>>>(x, total, 200);
    finish();
    print_sum(total, 1);
    CHECK(cudaFree(x));
}
