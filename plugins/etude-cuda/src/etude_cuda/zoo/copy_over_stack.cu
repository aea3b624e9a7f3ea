// A copy back into a host array that is too small: it overwrites what lies behind it.
#include "zoo.cuh"

int main()
{
    const int n = 100;
    int *x = ramp<int>(n);
#ifdef FIXED
    int *host = new int[n];
#else
    int *host = new int[n / 2];
#endif
    CHECK(cudaMemcpy(host, x, n * sizeof(int), cudaMemcpyDeviceToHost));  // EXPECT copy-range
    std::printf("%d\n", host[0]);
    delete[] host;
    CHECK(cudaFree(x));
}
