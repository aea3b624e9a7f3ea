// Four kinds of work dealt out lane by lane: the warp does all four, each with 8 lanes. The twin
// deals them out warp by warp.
#include "zoo.cuh"

__global__ void work(const float *x, float *y)
{
    int t = threadIdx.x;
    float value = x[t];
#ifdef FIXED
    int kind = t / 32 % 4;
#else
    int kind = t % 4;
#endif
    if (kind == 0) {
        for (int k = 0; k < 16; ++k) {
            value = sinf(value);  // EXPECT branch-divergence
        }
    } else if (kind == 1) {
        for (int k = 0; k < 16; ++k) {
            value = cosf(value);  // EXPECT branch-divergence
        }
    } else if (kind == 2) {
        for (int k = 0; k < 16; ++k) {
            value = sqrtf(fabsf(value));  // EXPECT branch-divergence
        }
    } else {
        for (int k = 0; k < 16; ++k) {
            value = expf(-value);  // EXPECT branch-divergence
        }
    }
    y[t] = value;
}

int main()
{
    float *x = ramp<float>(128), *y = filled(128, 0.0f);
    work<<<1, 128>>>(x, y);
    finish();
    print_sum(y, 128);
    CHECK(cudaFree(x));
}
