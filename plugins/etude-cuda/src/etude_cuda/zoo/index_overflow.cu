// An index that overflows int: the product is beyond 2^31, and the remainder of a negative number
// is negative.
#include "zoo.cuh"

__global__ void gather(const float *x, float *y, int n)
{
    int i = threadIdx.x;
#ifdef FIXED
    unsigned int hash = i * 40503u * 65537u;
#else
    int hash = i * 40503 * 65537;
#endif
    y[i] = x[hash % n];  // EXPECT out-of-bounds
}

int main()
{
    float *x = ramp<float>(8), *y = filled(128, 0.0f);
    gather<<<1, 128>>>(x, y, 8);
    finish();
    print_sum(y, 128);
    CHECK(cudaFree(x));
}
