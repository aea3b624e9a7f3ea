// A guard that is off by one: i <= n lets in the thread behind the last element.
#include "zoo.cuh"

__global__ void scale(float *x, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
#ifdef FIXED
    if (i < n) {
#else
    if (i <= n) {
#endif
        x[i] *= 2.0f;  // EXPECT out-of-bounds
    }
}

int main()
{
    float *x = ramp<float>(100);
    scale<<<2, 64>>>(x, 100);
    finish();
    print_sum(x, 100);
}
