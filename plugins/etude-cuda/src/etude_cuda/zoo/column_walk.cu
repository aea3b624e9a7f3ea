// A thread for each row of a row-major matrix: at each step the lanes are a whole row apart.
#include "zoo.cuh"

__global__ void row_sums(const float *x, float *y, int n)
{
    int i = threadIdx.x;
    float sum = 0.0f;
    for (int j = 0; j < n; ++j) {
#ifdef FIXED
        sum += x[j * n + i];  // the matrix is stored by columns
#else
        sum += x[i * n + j];  // EXPECT uncoalesced
#endif
    }
    y[i] = sum;
}

int main()
{
    const int n = 64;
    float *x = ramp<float>(n * n), *y = filled(n, 0.0f);
    row_sums<<<1, n>>>(x, y, n);
    finish();
    print_sum(y, n);
    CHECK(cudaFree(x));
}
