// Dynamic shared memory in elements where bytes are asked for: a quarter of what is used.
#include "zoo.cuh"

__global__ void reverse(float *x)
{
    extern __shared__ float cells[];
    int t = threadIdx.x;
    cells[t] = x[t];  // EXPECT shared-size
    __syncthreads();
    x[t] = cells[blockDim.x - 1 - t];  // EXPECT shared-size
}

int main()
{
    float *x = ramp<float>(128);
#ifdef FIXED
    reverse<<<1, 128, 128 * sizeof(float)>>>(x);
#else
    reverse<<<1, 128, 128>>>(x);
#endif
    finish();
    print_sum(x, 128);
}
