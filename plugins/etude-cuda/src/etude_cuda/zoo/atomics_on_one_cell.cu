// Looks wrong and is right: all threads of all blocks change the same cells, atomically.
#include "zoo.cuh"

__global__ void extremes(const int *x, int *low, int *high, unsigned long long *sum, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        atomicMin(low, x[i]);
        atomicMax(high, x[i]);
        atomicAdd(sum, static_cast<unsigned long long>(x[i]));
    }
}

int main()
{
    int *x = ramp<int>(300), *low = filled(1, 1000), *high = filled(1, -1000);
    unsigned long long *sum = filled(1, 0ull);
    extremes<<<5, 64>>>(x, low, high, sum, 300);
    finish();
    print_sum(low, 1);
    print_sum(high, 1);
    print_sum(sum, 1);
    CHECK(cudaFree(x));
}
