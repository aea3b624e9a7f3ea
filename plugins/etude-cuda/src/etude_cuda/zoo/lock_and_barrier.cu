// A barrier inside a lock: the owner waits for the block, and the block waits for the lock.
#include "zoo.cuh"

__device__ int lock = 0;

__global__ void append(int *list, int *length)
{
#ifdef FIXED
    list[atomicAdd(length, 1)] = threadIdx.x;
#else
    bool mine = false;
    while (!mine) {
        mine = atomicCAS(&lock, 0, 1) == 0;  // EXPECT deadlock
    }
    list[(*length)++] = threadIdx.x;
    __syncthreads();  // EXPECT deadlock
    atomicExch(&lock, 0);
#endif
}

int main()
{
    int *list = filled(64, 0), *length = filled(1, 0);
    append<<<1, 64>>>(list, length);
    finish();
    print_sum(list, 64);
    CHECK(cudaFree(length));
}
