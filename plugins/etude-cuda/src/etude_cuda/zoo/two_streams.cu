// Two streams without an event between them: the second kernel may run before the first.
#include "zoo.cuh"

__global__ void fill(float *x) { x[threadIdx.x] = 2.0f * threadIdx.x; }  // EXPECT race streams

__global__ void add_one(const float *x, float *y)
{
    y[threadIdx.x] = x[threadIdx.x] + 1.0f;  // EXPECT race streams
}

int main()
{
    float *x = filled(64, 0.0f), *y = filled(64, 0.0f);
    cudaStream_t first, second;
    CHECK(cudaStreamCreate(&first));
    CHECK(cudaStreamCreate(&second));
    fill<<<1, 64, 0, first>>>(x);
#ifdef FIXED
    cudaEvent_t done;
    CHECK(cudaEventCreate(&done));
    CHECK(cudaEventRecord(done, first));
    CHECK(cudaStreamWaitEvent(second, done, 0));
    CHECK(cudaEventDestroy(done));
#endif
    add_one<<<1, 64, 0, second>>>(x, y);
    finish();
    CHECK(cudaStreamDestroy(first));
    CHECK(cudaStreamDestroy(second));
    print_sum(y, 64);
    CHECK(cudaFree(x));
}
