// A copy back into a pinned array that is too small: it overwrites what lies behind it.
#include "zoo.cuh"

int main()
{
    const int n = 100;
    int *x = ramp<int>(n);
    int *host;
#ifdef FIXED
    CHECK(cudaMallocHost(&host, n * sizeof(int)));
#else
    CHECK(cudaMallocHost(&host, n / 2 * sizeof(int)));
#endif
    CHECK(cudaMemcpy(host, x, n * sizeof(int), cudaMemcpyDeviceToHost));  // EXPECT copy-range
    std::printf("%d\n", host[0]);
    CHECK(cudaFreeHost(host));
    CHECK(cudaFree(x));
}
