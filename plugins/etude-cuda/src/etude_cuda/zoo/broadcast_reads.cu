// Looks slow and is not: all lanes read one address, which is one sector, one bank, one broadcast.
#include "zoo.cuh"

__constant__ float weights[4] = {1.0f, 2.0f, 3.0f, 4.0f};

__global__ void combine(const float *x, float *y)
{
    __shared__ float cells[8];
    int t = threadIdx.x;
    if (t < 8) {
        cells[t] = x[t];
    }
    __syncthreads();
    float sum = 0.0f;
    for (int k = 0; k < 8; ++k) {
        sum += cells[k] * weights[k % 4] * x[k];
    }
    y[t] = sum * t;
}

int main()
{
    float *x = ramp<float>(8), *y = filled(128, 0.0f);
    combine<<<1, 128>>>(x, y);
    finish();
    print_sum(y, 128);
    CHECK(cudaFree(x));
}
