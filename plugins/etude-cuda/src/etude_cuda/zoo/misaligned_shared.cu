// Two arrays in one piece of dynamic shared memory: doubles behind an odd number of ints.
#include "zoo.cuh"

__global__ void weigh(const int *x, double *y, int n)
{
    extern __shared__ int whole[];
#ifdef FIXED
    double *weights = reinterpret_cast<double *>(whole + (n + 1) / 2 * 2);
#else
    double *weights = reinterpret_cast<double *>(whole + n);
#endif
    int t = threadIdx.x;
    whole[t] = x[t];
    weights[t] = 0.5;  // EXPECT misaligned
    __syncthreads();
    y[t] = whole[n - 1 - t] * weights[t];
}

int main()
{
    const int n = 33;
    int *x = ramp<int>(n);
    double *y = filled(n, 0.0);
    weigh<<<1, n, 34 * sizeof(int) + n * sizeof(double)>>>(x, y, n);
    finish();
    print_sum(y, n);
    CHECK(cudaFree(x));
}
