// An atomic of block scope on a cell of the grid: it is atomic for its own block and no other.
#include "zoo.cuh"

__global__ void count(int *total)
{
    if (threadIdx.x == 0) {
#ifdef FIXED
        atomicAdd(total, 1);
#else
        atomicAdd_block(total, 1);  // EXPECT race grid
#endif
    }
}

int main()
{
    int *total = filled(1, 0);
    count<<<8, 32>>>(total);
    finish();
    print_sum(total, 1);
}
