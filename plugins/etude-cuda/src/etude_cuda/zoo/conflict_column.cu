// Columns of a tile that is 32 wide: all 32 lanes want the same bank. One more column mends it.
#include "zoo.cuh"

#ifdef FIXED
constexpr int WIDTH = 33;
#else
constexpr int WIDTH = 32;
#endif

__global__ void transpose(const float *x, float *y)
{
    __shared__ float tile[32][WIDTH];
    int j = threadIdx.x, i = threadIdx.y;
    tile[i][j] = x[i * 32 + j];
    __syncthreads();
    y[i * 32 + j] = tile[j][i];  // EXPECT bank-conflict
}

int main()
{
    float *x = ramp<float>(1024), *y = filled(1024, 0.0f);
    transpose<<<1, dim3(32, 32)>>>(x, y);
    finish();
    print_sum(y, 1024);
    CHECK(cudaFree(x));
}
