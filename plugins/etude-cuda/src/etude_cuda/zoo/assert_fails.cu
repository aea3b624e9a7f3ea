// An assertion in a kernel that does not hold: 100 elements in blocks of 64.
#include "zoo.cuh"
#include <cassert>

__global__ void fill(float *x, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
#ifdef FIXED
    if (i >= n) {
        return;
    }
#endif
    assert(i < n);  // EXPECT assert
    x[i] = i;
}

int main()
{
    float *x = filled(128, 0.0f);
    fill<<<2, 64>>>(x, 100);
    finish();
    print_sum(x, 100);
}
