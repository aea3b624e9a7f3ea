// A loop that never ends: it doubles its index, and thread 0 stays at 0.
#include "zoo.cuh"

__global__ void sums(const float *x, float *y, int n)
{
    float sum = 0.0f;
#ifdef FIXED
    for (int i = threadIdx.x; i < n; i += 32) { sum += x[i]; }
#else
    for (int i = threadIdx.x; i < n; i *= 2) { sum += x[i]; }  // EXPECT never-ends
#endif
    y[threadIdx.x] = sum;
}

int main()
{
    float *x = ramp<float>(64), *y = filled(32, 0.0f);
    sums<<<1, 32>>>(x, y, 64);
    finish();
    print_sum(y, 32);
    CHECK(cudaFree(x));
}
