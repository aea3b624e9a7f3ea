// Looks wrong and is right: a shuffle among the lanes that passed a guard, with the mask that a
// ballot of all lanes gave. One of them adds for all, and tells the others where they begin.
#include "zoo.cuh"

__global__ void keep_most(const int *x, int *kept, int *count)
{
    int t = threadIdx.x, lane = t % 32;
    bool wanted = x[t] % 4 != 0;
    unsigned mask = __ballot_sync(ALL, wanted);
    if (wanted) {
        int leader = __ffs(mask) - 1, first = 0;
        if (lane == leader) {
            first = atomicAdd(count, __popc(mask));
        }
        first = __shfl_sync(mask, first, leader);
        kept[first + __popc(mask & ((1u << lane) - 1))] = x[t];
    }
}

int main()
{
    int *x = ramp<int>(128), *kept = filled(96, 0), *count = filled(1, 0);
    keep_most<<<1, 128>>>(x, kept, count);
    finish();
    print_sum(kept, 96);
    print_sum(count, 1);
    CHECK(cudaFree(x));
}
