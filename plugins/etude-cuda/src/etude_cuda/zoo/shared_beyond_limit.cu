// 64 KB of dynamic shared memory without asking: beyond 48 KB a kernel has to be told first.
#include "zoo.cuh"

constexpr int BYTES = 64 * 1024;

__global__ void fill(float *x)
{
    extern __shared__ float cells[];
    cells[threadIdx.x] = threadIdx.x;
    x[threadIdx.x] = cells[threadIdx.x];
}

int main()
{
    float *x = filled(64, 0.0f);
#ifdef FIXED
    CHECK(cudaFuncSetAttribute(fill, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES));
#endif
    fill<<<1, 64, BYTES>>>(x);  // EXPECT launch-failed
    finish();
    print_sum(x, 64);
}
