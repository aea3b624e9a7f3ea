// Looks wrong and is right: a shuffle among the lanes that passed a guard, with the mask that a
// ballot of all lanes gave.
#include "zoo.cuh"

__global__ void sum(const float *x, float *y, int n)
{
    int t = threadIdx.x;
    unsigned mask = __ballot_sync(ALL, t < n);
    if (t < n) {
        float value = x[t];
        for (int offset = 16; offset > 0; offset /= 2) {
            float other = __shfl_down_sync(mask, value, offset);
            value += t + offset < n ? other : 0.0f;
        }
        if (t == 0) {
            *y = value;
        }
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
