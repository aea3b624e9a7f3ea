// Heat spreads over a plate: a 5-point stencil with a halo in shared memory, on pitched rows.
//
//     stencil_halo [width height steps]
//
// A block computes TX x TY cells from a tile that has one more cell on each side. Two plates take
// turns; the rim keeps its temperature. The coefficients lie in constant memory.
#include "course.cuh"

constexpr int TX = 32, TY = 8;

struct Heat {
    float centre, side;
};
__constant__ Heat heat;

__device__ __forceinline__ int clamped(int i, int n) { return i < 0 ? 0 : i < n ? i : n - 1; }

// pitch: bytes from one row to the next, which cudaMallocPitch chose
__global__ void step(const char *from, char *to, size_t pitch, int width, int height)
{
    __shared__ float tile[TY + 2][TX + 2];
    const int x0 = blockIdx.x * TX, y0 = blockIdx.y * TY;
    // All threads load in turn, halo included: no branch for the four sides.
    for (int i = threadIdx.y * TX + threadIdx.x; i < (TX + 2) * (TY + 2); i += TX * TY) {
        int x = clamped(x0 + i % (TX + 2) - 1, width), y = clamped(y0 + i / (TX + 2) - 1, height);
        tile[i / (TX + 2)][i % (TX + 2)] = reinterpret_cast<const float *>(from + y * pitch)[x];
    }
    __syncthreads();
    const int x = x0 + threadIdx.x, y = y0 + threadIdx.y;
    if (x >= width || y >= height) {
        return;
    }
    const int i = threadIdx.y + 1, j = threadIdx.x + 1;
    const bool rim = x == 0 || y == 0 || x == width - 1 || y == height - 1;
    float around = tile[i - 1][j] + tile[i + 1][j] + tile[i][j - 1] + tile[i][j + 1];
    float value = heat.centre * tile[i][j] + heat.side * around;
    reinterpret_cast<float *>(to + y * pitch)[x] = rim ? tile[i][j] : value;
}

int main(int argc, char **argv)
{
    const int width = argument(argc, argv, 1, 75), height = argument(argc, argv, 2, 41);
    const int steps = argument(argc, argv, 3, 6);
    const Heat coefficients{0.6f, 0.1f};
    const size_t row = width * sizeof(float);
    float *plate;  // pinned
    CHECK(cudaMallocHost(&plate, row * height));
    std::vector<float> now = uniform(width * height, 6), next = now;
    for (size_t i = 0; i < now.size(); ++i) {
        plate[i] = now[i];
    }
    char *from, *to;
    size_t pitch;
    CHECK(cudaMallocPitch(&from, &pitch, row, height));
    CHECK(cudaMallocPitch(&to, &pitch, row, height));
    CHECK(cudaMemcpyToSymbol(heat, &coefficients, sizeof coefficients));
    CHECK(cudaMemcpy2D(from, pitch, plate, row, row, height, cudaMemcpyHostToDevice));
    for (int s = 0; s < steps; ++s) {
        step<<<dim3(blocks_for(width, TX), blocks_for(height, TY)), dim3(TX, TY)>>>(
            from, to, pitch, width, height);
        CHECK(cudaPeekAtLastError());
        std::swap(from, to);
    }
    CHECK(cudaMemcpy2D(plate, row, from, pitch, row, height, cudaMemcpyDeviceToHost));

    for (int s = 0; s < steps; ++s) {
        for (int y = 1; y < height - 1; ++y) {
            for (int x = 1; x < width - 1; ++x) {
                int i = y * width + x;
                float around = now[i - width] + now[i + width] + now[i - 1] + now[i + 1];
                next[i] = coefficients.centre * now[i] + coefficients.side * around;
            }
        }
        std::swap(now, next);
    }
    std::vector<float> found(plate, plate + now.size());
    CHECK(cudaFree(from));
    CHECK(cudaFree(to));
    CHECK(cudaFreeHost(plate));
    return verdict("stencil_halo", distance(found, now), 1e-5);
}
