// The copy back is forgotten: the kernel's result stays on the card, and the host sums up its own
// array, in which nothing ever came.
#include "zoo.cuh"

__global__ void add(const float *x, const float *y, float *z, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        z[i] = x[i] + y[i];
    }
}

int main()
{
    const int n = 200;
    float *x = ramp<float>(n), *y = ramp<float>(n), *z;
    std::vector<float> host(n);
    CHECK(cudaMalloc(&z, n * sizeof(float)));
    add<<<2, 128>>>(x, y, z, n);  // EXPECT unread-output
    finish();
#ifdef FIXED
    CHECK(cudaMemcpy(host.data(), z, n * sizeof(float), cudaMemcpyDeviceToHost));
#endif
    double sum = 0.0;
    for (float value : host) {
        sum += value;
    }
    std::printf("%.6g\n", sum);
    CHECK(cudaFree(x));
    CHECK(cudaFree(y));
    CHECK(cudaFree(z));
}
