// Use after a free in the stream's order: the launch after cudaFreeAsync finds the array gone.
#include "zoo.cuh"

__global__ void fill(float *x) { x[threadIdx.x] = 1.0f; }  // EXPECT use-after-free

int main()
{
    cudaStream_t stream;
    float *x;
    CHECK(cudaStreamCreate(&stream));
    CHECK(cudaMallocAsync(&x, 64 * sizeof(float), stream));
#ifdef FIXED
    fill<<<1, 64, 0, stream>>>(x);
    CHECK(cudaFreeAsync(x, stream));
#else
    CHECK(cudaFreeAsync(x, stream));
    fill<<<1, 64, 0, stream>>>(x);
#endif
    finish();
    CHECK(cudaStreamDestroy(stream));
    std::printf("done\n");
}
