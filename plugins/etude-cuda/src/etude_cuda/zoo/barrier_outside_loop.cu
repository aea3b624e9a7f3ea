// A barrier before the loop where one in each turn is needed: a tree without its levels.
#include "zoo.cuh"

__global__ void sum(const float *x, float *y)
{
    __shared__ float cells[256];
    int t = threadIdx.x;
    cells[t] = x[t];
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (t < half) {
            cells[t] += cells[t + half];  // EXPECT race
        }
#ifdef FIXED
        __syncthreads();
#endif
    }
    if (t == 0) {
        *y = cells[0];
    }
}

int main()
{
    float *x = ramp<float>(256), *y = filled(1, 0.0f);
    sum<<<1, 256>>>(x, y);
    finish();
    print_sum(y, 1);
    CHECK(cudaFree(x));
}
