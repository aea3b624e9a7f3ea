// Double free: two names for one array, and both are freed.
#include "zoo.cuh"

int main()
{
    float *x = ramp<float>(64), *alias = x;
    CHECK(cudaFree(x));
#ifndef FIXED
    CHECK(cudaFree(alias));  // EXPECT invalid-free
#endif
    std::printf("%d\n", alias == x);
}
