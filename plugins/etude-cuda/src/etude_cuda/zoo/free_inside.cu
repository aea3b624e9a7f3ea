// A free of a pointer into an array: only what cudaMalloc gave can be given back.
#include "zoo.cuh"

int main()
{
    float *x = ramp<float>(64);
#ifdef FIXED
    CHECK(cudaFree(x));
#else
    CHECK(cudaFree(x + 32));  // EXPECT invalid-free
#endif
    std::printf("done\n");
}
