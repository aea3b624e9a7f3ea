// The wrong direction of a copy: to the device, declared as from it.
#include "zoo.cuh"

int main()
{
    const int n = 64;
    std::vector<float> host(n, 3.0f);
    float *x;
    CHECK(cudaMalloc(&x, n * sizeof(float)));
#ifdef FIXED
    CHECK(cudaMemcpy(x, host.data(), n * sizeof(float), cudaMemcpyHostToDevice));
#else
    CHECK(cudaMemcpy(x, host.data(), n * sizeof(float),  // EXPECT copy-direction
                     cudaMemcpyDeviceToHost));
#endif
    print_sum(x, n);
}
