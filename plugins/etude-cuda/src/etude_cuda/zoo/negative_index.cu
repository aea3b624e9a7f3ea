// The left neighbour of the first element: index -1.
#include "zoo.cuh"

__global__ void differences(const float *x, float *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) {
        return;
    }
#ifdef FIXED
    y[i] = i > 0 ? x[i] - x[i - 1] : x[i];
#else
    y[i] = x[i] - x[i - 1];  // EXPECT out-of-bounds
#endif
}

int main()
{
    float *x = ramp<float>(100), *y = filled(100, 0.0f);
    differences<<<2, 64>>>(x, y, 100);
    finish();
    print_sum(y, 100);
    CHECK(cudaFree(x));
}
