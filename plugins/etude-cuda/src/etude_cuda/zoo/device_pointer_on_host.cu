// A device pointer dereferenced on the host.
#include "zoo.cuh"

__global__ void fill(float *x) { x[threadIdx.x] = threadIdx.x; }

int main()
{
    float *x = filled(64, 0.0f), value;
    fill<<<1, 64>>>(x);
    finish();
#ifdef FIXED
    CHECK(cudaMemcpy(&value, x + 5, sizeof value, cudaMemcpyDeviceToHost));
#else
    value = x[5];  // EXPECT device-pointer
#endif
    std::printf("%g\n", value);
    CHECK(cudaFree(x));
}
