// The pitch forgotten: rows are taken to follow each other at once, and the padding between them,
// which nothing was copied to, is read as data.
#include "zoo.cuh"

__global__ void sums(const char *x, float *y, size_t pitch, int width)
{
#ifdef FIXED
    const float *row = reinterpret_cast<const float *>(x + blockIdx.x * pitch);
#else
    const float *row = reinterpret_cast<const float *>(x) + blockIdx.x * width;
#endif
    atomicAdd(&y[blockIdx.x], row[threadIdx.x]);  // EXPECT uninitialized
}

int main()
{
    const int width = 100, height = 8;
    std::vector<float> host(width * height, 1.0f);
    float *y = filled(height, 0.0f);
    char *x;
    size_t pitch, row = width * sizeof(float);
    CHECK(cudaMallocPitch(&x, &pitch, row, height));
    CHECK(cudaMemcpy2D(x, pitch, host.data(), row, row, height, cudaMemcpyHostToDevice));
    sums<<<height, width>>>(x, y, pitch, width);
    finish();
    print_sum(y, height);
    CHECK(cudaFree(x));
}
