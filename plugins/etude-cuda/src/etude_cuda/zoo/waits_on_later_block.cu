// A block waits on a later one, which has no room on the card before this one ends. The twin takes
// its number from a ticket, so that whoever it waits on is at work already.
#include "zoo.cuh"

__device__ int tickets = 0;
constexpr int BLOCKS = 800, SHARED = 64 * 1024;  // no card holds 800 blocks of 64 KB

__global__ void chain(int *ready)
{
#ifdef FIXED
    const int me = atomicAdd(&tickets, 1), other = me - 1;
#else
    const int me = blockIdx.x, other = me + 1 < BLOCKS ? me + 1 : -1;
#endif
    while (other >= 0 && atomicAdd(&ready[other], 0) == 0) {  // EXPECT deadlock
    }
    atomicExch(&ready[me], 1);
}

int main()
{
    int *ready = filled(BLOCKS, 0);
    CHECK(cudaFuncSetAttribute(chain, cudaFuncAttributeMaxDynamicSharedMemorySize, SHARED));
    chain<<<BLOCKS, 1, SHARED>>>(ready);
    finish();
    print_sum(ready, BLOCKS);
}
