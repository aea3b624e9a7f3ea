// Looks wrong and is right: threads leave a grid-stride loop at different turns; no barrier
// follows.
#include "zoo.cuh"

__global__ void first_of_two(const int *x, int *at, int n)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        if (x[i] == 300 || x[i] == 700) {
            atomicMin(at, i);
            return;
        }
    }
}

int main()
{
    int *x = ramp<int>(1000), *at = filled(1, 1000);
    first_of_two<<<2, 64>>>(x, at, 1000);
    finish();
    print_sum(at, 1);
    CHECK(cudaFree(x));
}
