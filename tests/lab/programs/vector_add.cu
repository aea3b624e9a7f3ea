// Vector addition: one thread an element, and a guard, because n is no multiple of the block.
//
//     vector_add [n]
#include "course.cuh"

__global__ void add(const float *a, const float *b, float *c, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        c[i] = a[i] + b[i];
    }
}

int main(int argc, char **argv)
{
    const int n = argument(argc, argv, 1, 10000);
    const size_t bytes = n * sizeof(float);
    cudaDeviceProp card;
    CHECK(cudaGetDeviceProperties(&card, 0));

    std::vector<float> a = uniform(n, 1), b = uniform(n, 2), c(n), right(n);
    float *d_a, *d_b, *d_c;
    CHECK(cudaMalloc(&d_a, bytes));
    CHECK(cudaMalloc(&d_b, bytes));
    CHECK(cudaMalloc((void **)&d_c, bytes));
    CHECK(cudaMemcpy(d_a, a.data(), bytes, cudaMemcpyHostToDevice));
    CHECK(cudaMemcpy(d_b, b.data(), bytes, cudaMemcpyHostToDevice));

    cudaEvent_t start, stop;
    CHECK(cudaEventCreate(&start));
    CHECK(cudaEventCreate(&stop));
    const int threads = card.maxThreadsPerBlock < 256 ? card.maxThreadsPerBlock : 256;
    CHECK(cudaEventRecord(start));
    add<<<blocks_for(n, threads), threads>>>(d_a, d_b, d_c, n);
    CHECK(cudaGetLastError());
    CHECK(cudaEventRecord(stop));
    CHECK(cudaEventSynchronize(stop));
    float ms = 0.0f;
    CHECK(cudaEventElapsedTime(&ms, start, stop));
    std::printf("%d sums on %s in %.3f ms\n", n, card.name, ms);

    CHECK(cudaMemcpy(c.data(), d_c, bytes, cudaMemcpyDeviceToHost));
    for (int i = 0; i < n; ++i) {
        right[i] = a[i] + b[i];
    }
    CHECK(cudaEventDestroy(start));
    CHECK(cudaEventDestroy(stop));
    CHECK(cudaFree(d_a));
    CHECK(cudaFree(d_b));
    CHECK(cudaFree(d_c));
    return verdict("vector_add", distance(c, right), 0.0);
}
