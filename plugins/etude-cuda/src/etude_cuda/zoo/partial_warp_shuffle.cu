// A block of 48 threads: its second warp has 16 lanes, and the shuffle asks for those that are not.
#include "zoo.cuh"

__global__ void sum(const float *x, float *y)
{
    int t = threadIdx.x;
#ifdef FIXED
    float value = t < 48 ? x[t] : 0.0f;
#else
    float value = x[t];
#endif
    for (int offset = 16; offset > 0; offset /= 2) {
        value += __shfl_down_sync(ALL, value, offset);  // EXPECT shuffle-inactive
    }
    if (t % 32 == 0) {
        atomicAdd(y, value);
    }
}

int main()
{
    float *x = ramp<float>(48), *y = filled(1, 0.0f);
#ifdef FIXED
    sum<<<1, 64>>>(x, y);
#else
    sum<<<1, 48>>>(x, y);
#endif
    finish();
    print_sum(y, 1);
    CHECK(cudaFree(x));
}
