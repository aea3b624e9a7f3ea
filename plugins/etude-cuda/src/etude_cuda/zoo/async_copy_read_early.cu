// The result of an asynchronous copy read before the stream is done.
#include "zoo.cuh"

__global__ void fill(int *x) { x[threadIdx.x] = 7; }

int main()
{
    int *x = filled(64, 0), *host;
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    CHECK(cudaMallocHost(&host, 64 * sizeof(int)));
    fill<<<1, 64, 0, stream>>>(x);
    CHECK(cudaMemcpyAsync(host, x, 64 * sizeof(int), cudaMemcpyDeviceToHost, stream));
#ifdef FIXED
    CHECK(cudaStreamSynchronize(stream));
#endif
    int first = host[0];  // EXPECT unsynchronized-read
    finish();
    std::printf("%d\n", first);
    CHECK(cudaFreeHost(host));
    CHECK(cudaFree(x));
    CHECK(cudaStreamDestroy(stream));
}
