// A float4 at an address that is no multiple of 16: the array begins one float too late.
#include "zoo.cuh"

__global__ void sum4(const float *x, float *y)
{
    float4 q = reinterpret_cast<const float4 *>(x)[threadIdx.x];  // EXPECT misaligned
    y[threadIdx.x] = q.x + q.y + q.z + q.w;
}

int main()
{
    float *x = ramp<float>(132), *y = filled(32, 0.0f);
#ifdef FIXED
    sum4<<<1, 32>>>(x + 4, y);
#else
    sum4<<<1, 32>>>(x + 1, y);
#endif
    finish();
    print_sum(y, 32);
    CHECK(cudaFree(x));
}
