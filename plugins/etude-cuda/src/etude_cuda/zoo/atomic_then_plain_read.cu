// An atomic addition followed by a plain read: the reader may be ahead of the others' additions.
#include "zoo.cuh"

__global__ void shares(const float *x, float *y)
{
    __shared__ float total;
    int t = threadIdx.x;
    if (t == 0) {
        total = 0.0f;
    }
    __syncthreads();
    atomicAdd(&total, x[t]);  // EXPECT race
#ifdef FIXED
    __syncthreads();
#endif
    y[t] = x[t] / total;  // EXPECT race
}

int main()
{
    float *x = filled(96, 2.0f), *y = filled(96, 0.0f);
    shares<<<1, 96>>>(x, y);
    finish();
    print_sum(y, 96);
    CHECK(cudaFree(x));
}
