// Looks wrong and is right: the host writes managed memory before the launch and reads it after the
// stream is done, and reads a pinned array after the event behind its copy.
#include "zoo.cuh"

__global__ void twice(int *x) { x[threadIdx.x] *= 2; }

int main()
{
    int *managed, *pinned;
    cudaStream_t stream;
    cudaEvent_t copied;
    CHECK(cudaStreamCreate(&stream));
    CHECK(cudaEventCreate(&copied));
    CHECK(cudaMallocManaged(&managed, 32 * sizeof(int)));
    CHECK(cudaMallocHost(&pinned, 32 * sizeof(int)));
    for (int i = 0; i < 32; ++i) {
        managed[i] = i;
    }
    twice<<<1, 32, 0, stream>>>(managed);
    CHECK(cudaGetLastError());
    CHECK(cudaMemcpyAsync(pinned, managed, 32 * sizeof(int), cudaMemcpyDeviceToHost, stream));
    CHECK(cudaEventRecord(copied, stream));
    CHECK(cudaEventSynchronize(copied));
    std::printf("%d\n", pinned[31]);
    CHECK(cudaStreamSynchronize(stream));
    managed[0] += managed[31];
    std::printf("%d\n", managed[0]);
    CHECK(cudaFree(managed));
    CHECK(cudaFreeHost(pinned));
    CHECK(cudaEventDestroy(copied));
    CHECK(cudaStreamDestroy(stream));
}
