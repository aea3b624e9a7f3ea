// Looks wrong and is right: a hash table of shared memory that all threads fill at once, whose
// slots are won by compare-and-swap.
#include "zoo.cuh"

__global__ void distinct(const int *x, int *y, int n)
{
    __shared__ int slots[64];
    int t = threadIdx.x;
    slots[t] = -1;
    __syncthreads();
    for (int i = t; i < n; i += 64) {
        int key = x[i] % 32, at = key % 64;
        for (;;) {
            int held = atomicCAS(&slots[at], -1, key);
            if (held == -1 || held == key) {
                break;
            }
            at = (at + 1) % 64;
        }
    }
    __syncthreads();
    int count = __syncthreads_count(slots[t] != -1);
    if (t == 0) {
        *y = count;
    }
}

int main()
{
    int *x = ramp<int>(200), *y = filled(1, 0);
    distinct<<<1, 64>>>(x, y, 200);
    finish();
    print_sum(y, 1);
    CHECK(cudaFree(x));
}
