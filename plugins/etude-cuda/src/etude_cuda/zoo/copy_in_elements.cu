// cudaMemcpy with the number of elements: it copies bytes, a quarter of the array.
#include "zoo.cuh"

__global__ void twice(const float *x, float *y)
{
    y[threadIdx.x] = 2.0f * x[threadIdx.x];  // EXPECT uninitialized
}

int main()
{
    const int n = 128;
    std::vector<float> host(n, 1.0f);
    float *x, *y = filled(n, 0.0f);
    CHECK(cudaMalloc(&x, n * sizeof(float)));
#ifdef FIXED
    CHECK(cudaMemcpy(x, host.data(), n * sizeof(float), cudaMemcpyHostToDevice));
#else
    CHECK(cudaMemcpy(x, host.data(), n, cudaMemcpyHostToDevice));
#endif
    twice<<<1, n>>>(x, y);
    finish();
    print_sum(y, n);
    CHECK(cudaFree(x));
}
