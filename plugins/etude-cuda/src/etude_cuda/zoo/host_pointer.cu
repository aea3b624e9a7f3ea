// A host pointer in a kernel: the array was allocated on the CPU and never copied.
#include "zoo.cuh"

__global__ void twice(float *x)
{
    x[threadIdx.x] *= 2.0f;  // EXPECT host-pointer
}

int main()
{
    std::vector<float> host(64, 1.0f);
#ifdef FIXED
    float *x = on_device(host);
    twice<<<1, 64>>>(x);
    finish();
    print_sum(x, 64);
#else
    twice<<<1, 64>>>(host.data());
    finish();
    std::printf("%g\n", host[0]);
#endif
}
