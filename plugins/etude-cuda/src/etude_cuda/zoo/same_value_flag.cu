// Many threads set one flag to one value. Cards forgive it, the language does not: worth a note.
#include "zoo.cuh"

__global__ void any_large(const int *x, int *found)
{
    if (x[threadIdx.x] > 10) {
#ifdef FIXED
        atomicExch(found, 1);
#else
        *found = 1;  // EXPECT same-value-race
#endif
    }
}

int main()
{
    int *x = ramp<int>(64), *found = filled(1, 0);
    any_large<<<1, 64>>>(x, found);
    finish();
    print_sum(found, 1);
    CHECK(cudaFree(x));
}
