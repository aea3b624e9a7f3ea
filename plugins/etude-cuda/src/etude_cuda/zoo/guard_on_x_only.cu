// A guard on x only, in a 2-D grid: the rows below the last one are written too.
#include "zoo.cuh"

__global__ void brighten(unsigned char *pixels, int width, int height)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
#ifdef FIXED
    if (x < width && y < height) {
#else
    if (x < width) {
#endif
        pixels[y * width + x] = 200;  // EXPECT out-of-bounds
    }
}

int main()
{
    const int width = 70, height = 50;
    unsigned char *pixels = filled<unsigned char>(width * height, 100);
    brighten<<<dim3(3, 4), dim3(32, 16)>>>(pixels, width, height);
    finish();
    print_sum(pixels, width * height);
}
