// A launch error never asked for: 2048 threads are too many for a block, the kernel does not run,
// and the copy after it succeeds.
#include "zoo.cuh"

__global__ void fill(float *x) { x[blockIdx.x * blockDim.x + threadIdx.x] = 1.0f; }

int main()
{
    float *x = filled(2048, 0.0f);
#ifdef FIXED
    fill<<<2, 1024>>>(x);
    CHECK(cudaGetLastError());
#else
    fill<<<1, 2048>>>(x);  // EXPECT error-ignored
#endif
    print_sum(x, 2048);
}
