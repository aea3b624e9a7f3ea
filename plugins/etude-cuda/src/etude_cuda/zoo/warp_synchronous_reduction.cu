// Warp-synchronous reduction without __syncwarp: it trusts that 32 lanes run in step, which no card
// since Volta promises.
#include "zoo.cuh"

__global__ void sum(const float *x, float *y)
{
    __shared__ float cells[64];
    int t = threadIdx.x;
    cells[t] = x[t];
    __syncthreads();
    if (t < 32) {
        for (int half = 32; half > 0; half /= 2) {
#ifdef FIXED
            float other = cells[t + half];
            __syncwarp();
            cells[t] += other;
            __syncwarp();
#else
            cells[t] += cells[t + half];  // EXPECT race warp
#endif
        }
    }
    if (t == 0) {
        *y = cells[0];
    }
}

int main()
{
    float *x = ramp<float>(64), *y = filled(1, 0.0f);
    sum<<<1, 64>>>(x, y);
    finish();
    print_sum(y, 1);
    CHECK(cudaFree(x));
}
