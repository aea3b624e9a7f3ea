// Every other cell of shared memory: two lanes share each bank, and half of the banks are idle.
#include "zoo.cuh"

__global__ void pairs(const float *x, float *y)
{
    __shared__ float cells[256];
    int t = threadIdx.x;
    cells[t] = x[t];
    cells[t + 128] = x[t + 128];
    __syncthreads();
#ifdef FIXED
    y[t] = cells[t] + cells[t + 128];
#else
    y[t] = cells[2 * t] + cells[2 * t + 1];  // EXPECT bank-conflict
#endif
}

int main()
{
    float *x = ramp<float>(256), *y = filled(128, 0.0f);
    pairs<<<1, 128>>>(x, y);
    finish();
    print_sum(y, 128);
    CHECK(cudaFree(x));
}
