// Looks wasteful and is right: a column that nobody writes or reads keeps the banks apart.
#include "zoo.cuh"

__global__ void transpose(const float *x, float *y, int n)
{
    __shared__ float tile[32][33];
    int j = blockIdx.x * 32 + threadIdx.x;
    for (int i = threadIdx.y; i < 32; i += 8) {
        tile[i][threadIdx.x] = x[(blockIdx.y * 32 + i) * n + j];
    }
    __syncthreads();
    j = blockIdx.y * 32 + threadIdx.x;
    for (int i = threadIdx.y; i < 32; i += 8) {
        y[(blockIdx.x * 32 + i) * n + j] = tile[threadIdx.x][i];
    }
}

int main()
{
    const int n = 64;
    float *x = ramp<float>(n * n), *y = filled(n * n, 0.0f);
    transpose<<<dim3(2, 2), dim3(32, 8)>>>(x, y, n);
    finish();
    print_sum(y, n * n);
    CHECK(cudaFree(x));
}
