// A stencil in place: a cell's left neighbour may be the old value or already the new one.
#include "zoo.cuh"

__global__ void smooth(const float *x, float *y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i > 0 && i < n) {
        y[i] = 0.5f * (x[i - 1] + x[i]);  // EXPECT race
    }
}

int main()
{
    float *x = ramp<float>(256), *y = filled(256, 0.0f);
#ifdef FIXED
    smooth<<<4, 64>>>(x, y, 256);
#else
    smooth<<<4, 64>>>(x, x, 256);
#endif
    finish();
    print_sum(y, 256);
    CHECK(cudaFree(x));
}
