// Looks wrong and is right: threads that returned count as arrived at the barriers of the others,
// and nobody reads the cells they left empty.
#include "zoo.cuh"

__global__ void neighbours(const float *x, float *y, int n)
{
    __shared__ float cells[64];
    int t = threadIdx.x, i = blockIdx.x * 64 + t;
    if (i >= n) {
        return;
    }
    cells[t] = x[i];
    __syncthreads();
    y[i] = cells[t] + (t > 0 ? cells[t - 1] : 0.0f);
}

int main()
{
    float *x = ramp<float>(100), *y = filled(100, 0.0f);
    neighbours<<<2, 64>>>(x, y, 100);
    finish();
    print_sum(y, 100);
    CHECK(cudaFree(x));
}
