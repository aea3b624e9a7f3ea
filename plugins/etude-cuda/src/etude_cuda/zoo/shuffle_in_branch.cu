// A shuffle in a branch: the lanes it reads from have not come along.
#include "zoo.cuh"

__global__ void fold(const float *x, float *y)
{
    int t = threadIdx.x;
    float value = x[t];
#ifdef FIXED
    float other = __shfl_down_sync(ALL, value, 16);
    if (t < 16) {
        value += other;
    }
#else
    if (t < 16) {
        value += __shfl_down_sync(ALL, value, 16);  // EXPECT shuffle-inactive
    }
#endif
    y[t] = value;
}

int main()
{
    float *x = ramp<float>(32), *y = filled(32, 0.0f);
    fold<<<1, 32>>>(x, y);
    finish();
    print_sum(y, 32);
    CHECK(cudaFree(x));
}
