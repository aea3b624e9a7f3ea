// Managed memory read before the kernel is done: a launch returns at once.
#include "zoo.cuh"

__global__ void fill(int *x) { x[threadIdx.x] = threadIdx.x; }

int main()
{
    int *x;
    CHECK(cudaMallocManaged(&x, 64 * sizeof(int)));
    fill<<<1, 64>>>(x);
    CHECK(cudaGetLastError());
#ifdef FIXED
    CHECK(cudaDeviceSynchronize());
#endif
    int sum = 0;
    for (int i = 0; i < 64; ++i) {
        sum += x[i];  // EXPECT unsynchronized-read
    }
    std::printf("%d\n", sum);
    CHECK(cudaFree(x));
}
