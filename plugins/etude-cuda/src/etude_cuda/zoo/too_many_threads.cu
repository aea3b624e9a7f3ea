// A block of 32 x 64 threads: a card runs 1024 of them in a block and refuses the launch.
#include "zoo.cuh"

__global__ void fill(float *x)
{
    x[threadIdx.y * 32 + threadIdx.x] = 1.0f;
}

int main()
{
    float *x = filled(2048, 0.0f);
#ifdef FIXED
    fill<<<1, dim3(32, 32)>>>(x);
#else
    fill<<<1, dim3(32, 64)>>>(x);  // EXPECT launch-failed
#endif
    finish();
    print_sum(x, 2048);
}
