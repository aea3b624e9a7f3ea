// A flag without a fence: the flag says that the data are there, and nothing makes them go first.
#include "zoo.cuh"

__global__ void hand_over(float *data, int *flag, float *y)
{
    if (blockIdx.x == 0) {
        *data = 42.0f;  // EXPECT race grid
#ifdef FIXED
        __threadfence();
#endif
        atomicExch(flag, 1);
    } else {
        while (atomicAdd(flag, 0) == 0) {
        }
#ifdef FIXED
        __threadfence();
#endif
        *y = *data;  // EXPECT race grid
    }
}

int main()
{
    float *data = filled(1, 0.0f), *y = filled(1, 0.0f);
    int *flag = filled(1, 0);
    hand_over<<<2, 1>>>(data, flag, y);
    finish();
    print_sum(y, 1);
    CHECK(cudaFree(data));
    CHECK(cudaFree(flag));
}
