// The pitch of cudaMallocPitch taken for elements: it is in bytes, so rows lie four times too far
// apart.
#include "zoo.cuh"

__global__ void fill(float *x, size_t pitch, int width, int height)
{
    int j = threadIdx.x, i = blockIdx.x;
    if (j < width && i < height) {
#ifdef FIXED
        float *row = reinterpret_cast<float *>(reinterpret_cast<char *>(x) + i * pitch);
#else
        float *row = x + i * pitch;
#endif
        row[j] = 1.0f;  // EXPECT out-of-bounds
    }
}

int main()
{
    const int width = 100, height = 20;
    float *x;
    size_t pitch;
    CHECK(cudaMallocPitch(&x, &pitch, width * sizeof(float), height));
    fill<<<height, 128>>>(x, pitch, width, height);
    finish();
    CHECK(cudaFree(x));
    std::printf("%d rows\n", height);
}
