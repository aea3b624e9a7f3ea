// Waiting for a flag that nobody sets: the producer writes the other one.
#include "zoo.cuh"

__global__ void meet(int *flags)
{
    if (threadIdx.x == 0) {
#ifdef FIXED
        atomicExch(&flags[blockIdx.x], 1);
#else
        atomicExch(&flags[0], 1);
#endif
        while (atomicAdd(&flags[1 - blockIdx.x], 0) == 0) {  // EXPECT deadlock
        }
    }
}

int main()
{
    int *flags = filled(2, 0);
    meet<<<2, 32>>>(flags);
    finish();
    print_sum(flags, 2);
}
