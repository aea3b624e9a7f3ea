// Shared memory is not zero to begin with: the cells past the end of the array were never written,
// and the tree adds them.
#include "zoo.cuh"

__global__ void sum(const float *x, float *y, int n)
{
    __shared__ float cells[128];
    int t = threadIdx.x;
#ifdef FIXED
    cells[t] = t < n ? x[t] : 0.0f;
#else
    if (t < n) {
        cells[t] = x[t];
    }
#endif
    __syncthreads();
    for (int half = 64; half > 0; half /= 2) {
        if (t < half) {
            cells[t] += cells[t + half];  // EXPECT uninitialized
        }
        __syncthreads();
    }
    if (t == 0) {
        *y = cells[0];
    }
}

int main()
{
    float *x = ramp<float>(100), *y = filled(1, 0.0f);
    sum<<<1, 128>>>(x, y, 100);
    finish();
    print_sum(y, 1);
    CHECK(cudaFree(x));
}
