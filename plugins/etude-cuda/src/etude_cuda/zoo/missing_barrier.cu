// Missing barrier: a thread reads a cell that another may not have written yet.
#include "zoo.cuh"

__global__ void reverse(float *x)
{
    __shared__ float cells[128];
    int t = threadIdx.x;
    cells[t] = x[t];  // EXPECT race block
#ifdef FIXED
    __syncthreads();
#endif
    x[t] = cells[127 - t];  // EXPECT race block
}

int main()
{
    float *x = ramp<float>(128);
    reverse<<<1, 128>>>(x);
    finish();
    print_sum(x, 128);
}
