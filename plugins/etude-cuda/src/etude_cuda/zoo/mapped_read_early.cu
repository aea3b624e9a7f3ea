// Pinned memory that a kernel writes, read by the host before the kernel is done.
#include "zoo.cuh"

__global__ void fill(int *x) { x[threadIdx.x] = 7; }

int main()
{
    int *host, *x;
    CHECK(cudaHostAlloc(&host, 64 * sizeof(int), cudaHostAllocMapped));
    CHECK(cudaHostGetDevicePointer(&x, host, 0));
    fill<<<1, 64>>>(x);
    CHECK(cudaGetLastError());
#ifdef FIXED
    CHECK(cudaDeviceSynchronize());
#endif
    std::printf("%d\n", host[5]);  // EXPECT unsynchronized-read
    CHECK(cudaFreeHost(host));
}
