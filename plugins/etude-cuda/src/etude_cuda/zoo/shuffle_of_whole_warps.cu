// Looks wrong and is right: shuffles in a branch that whole warps take, and a mask of 16 lanes in a
// branch that exactly those 16 take.
#include "zoo.cuh"

__global__ void sums(const int *x, int *y)
{
    int t = threadIdx.x, lane = t % 32;
    int value = x[t];
    if (t / 32 == 1) {
        for (int offset = 16; offset > 0; offset /= 2) {
            value += __shfl_xor_sync(ALL, value, offset);
        }
    } else if (lane < 16) {
        for (int offset = 8; offset > 0; offset /= 2) {
            value += __shfl_xor_sync(0x0000ffff, value, offset);
        }
    }
    y[t] = value;
}

int main()
{
    int *x = ramp<int>(64), *y = filled(64, 0);
    sums<<<1, 64>>>(x, y);
    finish();
    print_sum(y, 64);
    CHECK(cudaFree(x));
}
