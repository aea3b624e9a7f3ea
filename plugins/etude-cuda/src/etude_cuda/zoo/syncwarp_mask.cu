// A __syncwarp that does not name its caller: lanes 16 to 31 call it with the mask of the others.
#include "zoo.cuh"

__global__ void reverse(int *x)
{
    __shared__ int cells[32];
    int t = threadIdx.x;
    cells[t] = x[t];
#ifdef FIXED
    __syncwarp();
#else
    __syncwarp(0x0000ffff);  // EXPECT shuffle-mask
#endif
    x[t] = cells[31 - t];
}

int main()
{
    int *x = ramp<int>(32);
    reverse<<<1, 32>>>(x);
    finish();
    print_sum(x, 32);
}
