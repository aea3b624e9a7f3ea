// __syncwarp where a whole block has to wait: it orders the 32 lanes of a warp, and no more.
#include "zoo.cuh"

__global__ void rotate(const float *x, float *y)
{
    __shared__ float cells[128];
    int t = threadIdx.x;
    cells[t] = x[t];  // EXPECT race block
#ifdef FIXED
    __syncthreads();
#else
    __syncwarp();
#endif
    y[t] = cells[(t + 32) % 128];  // EXPECT race block
}

int main()
{
    float *x = ramp<float>(128), *y = filled(128, 0.0f);
    rotate<<<1, 128>>>(x, y);
    finish();
    print_sum(y, 128);
    CHECK(cudaFree(x));
}
