// A stride of 8 between lanes: a warp touches 32 sectors where 4 would do.
#include "zoo.cuh"

__global__ void every_eighth(const float *x, float *y)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
#ifdef FIXED
    y[i] = x[i];
#else
    y[i] = x[8 * i];  // EXPECT uncoalesced
#endif
}

int main()
{
    float *x = ramp<float>(2048), *y = filled(256, 0.0f);
    every_eighth<<<2, 128>>>(x, y);
    finish();
    print_sum(y, 256);
    CHECK(cudaFree(x));
}
