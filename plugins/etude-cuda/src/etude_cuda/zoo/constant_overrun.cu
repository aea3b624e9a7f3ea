// Past the end of constant memory: a filter of 7 taps read as one of 9.
#include "zoo.cuh"

#ifdef FIXED
constexpr int TAPS = 7;
#else
constexpr int TAPS = 9;
#endif
__constant__ float taps[7] = {1.0f, 2.0f, 3.0f, 4.0f, 3.0f, 2.0f, 1.0f};
__constant__ float others[64];

__global__ void filter(const float *x, float *y)
{
    int i = threadIdx.x;
    float sum = 0.0f;
    for (int k = 0; k < TAPS; ++k) {
        sum += taps[k] * x[i + k];  // EXPECT out-of-bounds
    }
    y[i] = sum + others[i % 2];
}

int main()
{
    std::vector<float> zeros(64, 0.0f);
    CHECK(cudaMemcpyToSymbol(others, zeros.data(), sizeof others));
    float *x = ramp<float>(64), *y = filled(32, 0.0f);
    filter<<<1, 32>>>(x, y);
    finish();
    print_sum(y, 32);
    CHECK(cudaFree(x));
}
