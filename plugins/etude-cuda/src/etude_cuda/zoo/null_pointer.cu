// An array that is optional for the host and not for the kernel: the pointer is null.
#include "zoo.cuh"

__global__ void add_bias(float *x, const float *bias)
{
    int t = threadIdx.x;
#ifdef FIXED
    if (bias != nullptr) {
        x[t] += bias[t];
    }
#else
    x[t] += bias[t];  // EXPECT null-pointer
#endif
}

int main()
{
    float *x = ramp<float>(64), *bias = nullptr;
    add_bias<<<1, 64>>>(x, bias);
    finish();
    print_sum(x, 64);
}
