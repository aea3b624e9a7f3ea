// The copy back has the number of elements: a quarter of the result comes, and the host reads on.
#include "zoo.cuh"

__global__ void fill(float *x) { x[threadIdx.x] = 1.0f; }

int main()
{
    const int n = 128;
    std::vector<float> host(n, 0.0f);
    float *x;
    CHECK(cudaMalloc(&x, n * sizeof(float)));
    fill<<<1, n>>>(x);
    finish();
#ifdef FIXED
    CHECK(cudaMemcpy(host.data(), x, n * sizeof(float), cudaMemcpyDeviceToHost));
#else
    CHECK(cudaMemcpy(host.data(), x, n, cudaMemcpyDeviceToHost));  // EXPECT bytes-for-elements
#endif
    CHECK(cudaFree(x));
    double sum = 0.0;
    for (float value : host) {
        sum += value;
    }
    std::printf("%.6g\n", sum);
}
