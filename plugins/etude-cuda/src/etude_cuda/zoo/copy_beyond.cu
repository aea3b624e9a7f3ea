// A copy beyond the end of its source: one element more than was allocated.
#include "zoo.cuh"

int main()
{
    const int n = 100;
    float *x = ramp<float>(n);
    std::vector<float> host(n + 1);
#ifdef FIXED
    CHECK(cudaMemcpy(host.data(), x, n * sizeof(float), cudaMemcpyDeviceToHost));
#else
    CHECK(cudaMemcpy(host.data(), x, (n + 1) * sizeof(float),  // EXPECT copy-range
                     cudaMemcpyDeviceToHost));
#endif
    std::printf("%g\n", host[n - 1]);
    CHECK(cudaFree(x));
}
