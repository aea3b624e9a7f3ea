// cudaMalloc with the number of elements: it wants bytes, and gives a quarter of the room.
#include "zoo.cuh"

__global__ void twice(float *x) { x[threadIdx.x] *= 2.0f; }

int main()
{
    const int n = 128;
    std::vector<float> host(n, 1.0f);
    float *x;
#ifdef FIXED
    CHECK(cudaMalloc(&x, n * sizeof(float)));
#else
    CHECK(cudaMalloc(&x, n));
#endif
    const size_t bytes = n * sizeof(float);
    CHECK(cudaMemcpy(x, host.data(), bytes, cudaMemcpyHostToDevice));  // EXPECT bytes-for-elements
    twice<<<1, n>>>(x);
    finish();
    print_sum(x, n);
}
