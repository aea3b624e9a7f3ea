// A failed cudaMalloc never asked for: the number of bytes overflowed int and asks for the world.
#include "zoo.cuh"

int main()
{
    int side = 30000;
    float *x = nullptr;
#ifdef FIXED
    size_t bytes = sizeof(float) * side;
    CHECK(cudaMalloc(&x, bytes));
#else
    int bytes = static_cast<int>(sizeof(float)) * side * side;
    cudaMalloc(&x, bytes);  // EXPECT error-ignored
#endif
    std::printf("%s\n", x == nullptr ? "no array" : "an array");
    cudaFree(x);
}
