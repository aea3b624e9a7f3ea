// A leak: the array of each step is allocated, and none is freed.
#include "zoo.cuh"

__global__ void fill(float *x, float value) { x[threadIdx.x] = value; }

int main()
{
    for (int step = 0; step < 3; ++step) {
        float *x;
        CHECK(cudaMalloc(&x, 64 * sizeof(float)));  // EXPECT leak
        fill<<<1, 64>>>(x, step);
        finish();
#ifdef FIXED
        CHECK(cudaFree(x));
#endif
    }
    std::printf("done\n");
}
