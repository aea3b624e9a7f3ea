// Early return before a shuffle whose mask names all lanes: some of them are gone.
#include "zoo.cuh"

__global__ void sum(const float *x, float *y, int n)
{
    int t = threadIdx.x;
#ifdef FIXED
    float value = t < n ? x[t] : 0.0f;
#else
    if (t >= n) {
        return;
    }
    float value = x[t];
#endif
    for (int offset = 16; offset > 0; offset /= 2) {
        value += __shfl_down_sync(ALL, value, offset);  // EXPECT shuffle-inactive
    }
    if (t == 0) {
        *y = value;
    }
}

int main()
{
    float *x = ramp<float>(20), *y = filled(1, 0.0f);
    sum<<<1, 32>>>(x, y, 20);
    finish();
    print_sum(y, 1);
    CHECK(cudaFree(x));
}
