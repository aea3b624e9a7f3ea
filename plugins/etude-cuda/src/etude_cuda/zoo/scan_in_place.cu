// Scan in place: within a step some threads already write what others still have to read.
#include "zoo.cuh"

__global__ void scan(int *x)
{
    __shared__ int cells[128];
    int t = threadIdx.x;
    cells[t] = x[t];
    __syncthreads();
    for (int step = 1; step < 128; step *= 2) {
#ifdef FIXED
        int left = t >= step ? cells[t - step] : 0;
        __syncthreads();
        cells[t] += left;
#else
        if (t >= step) {
            cells[t] += cells[t - step];  // EXPECT race
        }
#endif
        __syncthreads();
    }
    x[t] = cells[t];
}

int main()
{
    int *x = ramp<int>(128);
    scan<<<1, 128>>>(x);
    finish();
    print_sum(x, 128);
}
