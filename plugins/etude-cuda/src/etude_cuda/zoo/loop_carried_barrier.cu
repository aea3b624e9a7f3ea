// Missing barrier at the end of a tile: fast threads bring in the next tile while slow ones still
// read this one. The first turn of the loop is right, which hides the mistake.
#include "zoo.cuh"

constexpr int TILE = 16;

__global__ void matmul(const float *a, const float *b, float *c, int n)
{
    __shared__ float as[TILE][TILE], bs[TILE][TILE];
    int tx = threadIdx.x, ty = threadIdx.y;
    int row = blockIdx.y * TILE + ty, column = blockIdx.x * TILE + tx;
    float sum = 0.0f;
    for (int first = 0; first < n; first += TILE) {
        as[ty][tx] = a[row * n + first + tx];       // EXPECT race
        bs[ty][tx] = b[(first + ty) * n + column];  // EXPECT race block
        __syncthreads();
        for (int k = 0; k < TILE; ++k) {
            sum += as[ty][k] * bs[k][tx];  // EXPECT race block
        }
#ifdef FIXED
        __syncthreads();
#endif
    }
    c[row * n + column] = sum;
}

int main()
{
    const int n = 48;
    float *a = ramp<float>(n * n), *b = filled(n * n, 1.0f), *c = filled(n * n, 0.0f);
    matmul<<<dim3(n / TILE, n / TILE), dim3(TILE, TILE)>>>(a, b, c, n);
    finish();
    print_sum(c, n * n);
    CHECK(cudaFree(a));
    CHECK(cudaFree(b));
}
