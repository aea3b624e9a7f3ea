// The host crashes, not the kernel: the array for the result was never made.
#include "zoo.cuh"

__global__ void fill(float *x) { x[threadIdx.x] = 1.0f; }

int main()
{
    const int n = 64;
    float *x, *host = nullptr;
    CHECK(cudaMalloc(&x, n * sizeof(float)));
    fill<<<1, n>>>(x);
    finish();
#ifdef FIXED
    std::vector<float> room(n);
    host = room.data();
#endif
    for (int i = 0; i < n; ++i) {
        host[i] = 0.0f;  // EXPECT host-crash
    }
    CHECK(cudaMemcpy(host, x, n * sizeof(float), cudaMemcpyDeviceToHost));
    CHECK(cudaFree(x));
    std::printf("%g\n", host[n - 1]);
}
