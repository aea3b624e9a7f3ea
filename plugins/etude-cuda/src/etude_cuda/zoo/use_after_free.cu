// Use after free: a kernel reads an array that was given back one line too early.
#include "zoo.cuh"

__global__ void twice(const float *x, float *y)
{
    y[threadIdx.x] = 2.0f * x[threadIdx.x];  // EXPECT use-after-free
}

int main()
{
    float *x = ramp<float>(64), *y = filled(64, 0.0f);
#ifndef FIXED
    CHECK(cudaFree(x));
#endif
    twice<<<1, 64>>>(x, y);
    finish();
#ifdef FIXED
    CHECK(cudaFree(x));
#endif
    print_sum(y, 64);
}
