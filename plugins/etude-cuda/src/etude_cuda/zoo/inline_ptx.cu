// PTX inside a kernel: the lab has no such machine, and must say so instead of guessing.
#include "zoo.cuh"

__global__ void lanes(unsigned *y)
{
    unsigned lane;
#ifdef FIXED
    lane = threadIdx.x % 32;
#else
    asm("mov.u32 %0, %%laneid;" : "=r"(lane));  // EXPECT unsupported
#endif
    y[threadIdx.x] = lane;
}

int main()
{
    unsigned *y = filled(64, 0u);
    lanes<<<1, 64>>>(y);
    finish();
    print_sum(y, 64);
}
