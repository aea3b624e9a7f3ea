// A barrier in the branch of a sum that folds: those who leave the branch return, and returned
// threads count as arrived. It runs, until somebody writes another barrier after the loop.
#include "zoo.cuh"

__global__ void total(const float *x, float *y)
{
    __shared__ float cells[64];
    int t = threadIdx.x;
    cells[t] = x[t];
    __syncthreads();
    for (int k = 32; k > 0; k /= 2) {
        if (t < k) {
            cells[t] += cells[t + k];
#ifndef FIXED
            __syncthreads();  // EXPECT barrier-in-branch
#endif
        }
#ifdef FIXED
        __syncthreads();
#endif
    }
    if (t == 0) {
        y[0] = cells[0];
    }
}

int main()
{
    float *x = ramp<float>(64), *y = filled(1, 0.0f);
    total<<<1, 64>>>(x, y);
    finish();
    print_sum(y, 1);
    CHECK(cudaFree(x));
}
