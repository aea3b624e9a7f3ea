// A ballot whose mask leaves out half of its callers: their votes are not counted.
#include "zoo.cuh"

__global__ void count(const int *x, int *y)
{
#ifdef FIXED
    unsigned votes = __ballot_sync(ALL, x[threadIdx.x] % 2 == 0);
#else
    unsigned votes = __ballot_sync(0x0000ffff, x[threadIdx.x] % 2 == 0);  // EXPECT shuffle-mask
#endif
    if (threadIdx.x == 0) {
        *y = __popc(votes);
    }
}

int main()
{
    int *x = ramp<int>(32), *y = filled(1, 0);
    count<<<1, 32>>>(x, y);
    finish();
    print_sum(y, 1);
    CHECK(cudaFree(x));
}
