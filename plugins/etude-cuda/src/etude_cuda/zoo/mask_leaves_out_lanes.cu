// A mask that leaves out lanes which call: each caller must be named in its own mask.
#include "zoo.cuh"

__global__ void sums(const float *x, float *y)
{
    int t = threadIdx.x;
    float value = x[t];
#ifdef FIXED
    const unsigned mask = t < 16 ? 0x0000ffff : 0xffff0000;
#else
    const unsigned mask = 0x0000ffff;
#endif
    for (int offset = 8; offset > 0; offset /= 2) {
        value += __shfl_down_sync(mask, value, offset, 16);  // EXPECT shuffle-mask
    }
    if (t % 16 == 0) {
        y[t / 16] = value;
    }
}

int main()
{
    float *x = ramp<float>(32), *y = filled(2, 0.0f);
    sums<<<1, 32>>>(x, y);
    finish();
    print_sum(y, 2);
    CHECK(cudaFree(x));
}
