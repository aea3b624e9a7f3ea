// A lock that is given back by a plain store, without a fence: the next owner may read old data.
#include "zoo.cuh"

__device__ int lock = 0;

__global__ void append(int *list, int *length)
{
    if (threadIdx.x != 0) {
        return;
    }
    while (atomicCAS(&lock, 0, 1) != 0) {
    }
#ifdef FIXED
    __threadfence();
#endif
    list[*length] = blockIdx.x;  // EXPECT race grid
    *length += 1;                // EXPECT race grid
#ifdef FIXED
    __threadfence();
    atomicExch(&lock, 0);
#else
    lock = 0;
#endif
}

int main()
{
    int *list = filled(8, 0), *length = filled(1, 0);
    append<<<8, 32>>>(list, length);
    finish();
    print_sum(list, 8);
    CHECK(cudaFree(length));
}
