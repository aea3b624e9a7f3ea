// The address of a host variable as the place for a result.
#include "zoo.cuh"

__global__ void count(const int *x, int *result)
{
    if (x[threadIdx.x] > 10) {
        atomicAdd(result, 1);  // EXPECT host-pointer
    }
}

int main()
{
    int *x = ramp<int>(64), result = 0;
#ifdef FIXED
    int *d_result = filled(1, 0);
    count<<<1, 64>>>(x, d_result);
    CHECK(cudaMemcpy(&result, d_result, sizeof result, cudaMemcpyDeviceToHost));
    CHECK(cudaFree(d_result));
#else
    count<<<1, 64>>>(x, &result);
    finish();
#endif
    std::printf("%d\n", result);
    CHECK(cudaFree(x));
}
