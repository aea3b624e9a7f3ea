// 2-D convolution of a batch of images with small filters, each image in a stream of its own.
//
//     conv2d [images height width]
//
// Filters lie in constant memory, which all lanes read at one address. A block brings a tile of the
// image with its margin into dynamic shared memory. Copies are asynchronous, from pinned memory,
// so that a card copies one image while it computes another.
#include "course.cuh"

constexpr int FILTERS = 3, R = 1, SIDE = 2 * R + 1;  // 3 x 3
constexpr int TX = 32, TY = 8;
constexpr int STREAMS = 2;

__constant__ float filters[FILTERS][SIDE][SIDE];

// x (height, width), y (FILTERS, height, width); zeros around the image; grid z is the filter
__global__ void conv2d(const float *x, float *y, int height, int width)
{
    extern __shared__ float tile[];
    constexpr int across = TX + 2 * R, down = TY + 2 * R;
    const int x0 = blockIdx.x * TX - R, y0 = blockIdx.y * TY - R, filter = blockIdx.z;
    for (int t = threadIdx.y * TX + threadIdx.x; t < across * down; t += TX * TY) {
        const int i = y0 + t / across, j = x0 + t % across;
        const bool inside = i >= 0 && i < height && j >= 0 && j < width;
        tile[t] = inside ? x[i * width + j] : 0.0f;
    }
    __syncthreads();
    const int i = blockIdx.y * TY + threadIdx.y, j = blockIdx.x * TX + threadIdx.x;
    if (i >= height || j >= width) {
        return;
    }
    float sum = 0.0f;
#pragma unroll
    for (int u = 0; u < SIDE; ++u) {
#pragma unroll
        for (int v = 0; v < SIDE; ++v) {
            sum += filters[filter][u][v] * tile[(threadIdx.y + u) * across + threadIdx.x + v];
        }
    }
    y[(filter * height + i) * width + j] = sum;
}

// The same on the CPU, for one image.
void reference(const float *x, const float *weights, float *y, int height, int width)
{
    for (int f = 0; f < FILTERS; ++f) {
        for (int i = 0; i < height; ++i) {
            for (int j = 0; j < width; ++j) {
                double sum = 0.0;
                for (int u = -R; u <= R; ++u) {
                    for (int v = -R; v <= R; ++v) {
                        if (i + u >= 0 && i + u < height && j + v >= 0 && j + v < width) {
                            sum += weights[(f * SIDE + u + R) * SIDE + v + R]
                                   * static_cast<double>(x[(i + u) * width + j + v]);
                        }
                    }
                }
                y[(f * height + i) * width + j] = static_cast<float>(sum);
            }
        }
    }
}

int main(int argc, char **argv)
{
    const int images = argument(argc, argv, 1, 4), height = argument(argc, argv, 2, 20);
    const int width = argument(argc, argv, 3, 45), plane = height * width;
    std::vector<float> weights = uniform(FILTERS * SIDE * SIDE, 14);
    std::vector<float> drawn = uniform(images * plane, 15), right(images * FILTERS * plane);
    CHECK(cudaMemcpyToSymbol(filters, weights.data(), sizeof filters));
    float *x, *y;
    CHECK(cudaHostAlloc(&x, images * plane * sizeof(float), cudaHostAllocDefault));
    CHECK(cudaMallocHost(&y, right.size() * sizeof(float)));
    for (int i = 0; i < images * plane; ++i) {
        x[i] = drawn[i];
    }
    cudaStream_t streams[STREAMS];
    float *d_x[STREAMS], *d_y[STREAMS];
    for (int s = 0; s < STREAMS; ++s) {
        CHECK(cudaStreamCreate(&streams[s]));
        CHECK(cudaMalloc(&d_x[s], plane * sizeof(float)));
        CHECK(cudaMalloc(&d_y[s], FILTERS * plane * sizeof(float)));
    }
    const dim3 grid(blocks_for(width, TX), blocks_for(height, TY), FILTERS), block(TX, TY);
    const size_t shared = (TX + 2 * R) * (TY + 2 * R) * sizeof(float);
    for (int k = 0; k < images; ++k) {
        const int s = k % STREAMS;
        float *out = y + k * FILTERS * plane;
        CHECK(cudaMemcpyAsync(d_x[s], x + k * plane, plane * sizeof(float), cudaMemcpyHostToDevice,
                              streams[s]));
        conv2d<<<grid, block, shared, streams[s]>>>(d_x[s], d_y[s], height, width);
        CHECK(cudaGetLastError());
        CHECK(cudaMemcpyAsync(out, d_y[s], FILTERS * plane * sizeof(float), cudaMemcpyDeviceToHost,
                              streams[s]));
        reference(drawn.data() + k * plane, weights.data(), right.data() + k * FILTERS * plane,
                  height, width);
    }
    // The first stream waits for the others, and the CPU for the first.
    for (int s = 1; s < STREAMS; ++s) {
        cudaEvent_t done;
        CHECK(cudaEventCreateWithFlags(&done, cudaEventDisableTiming));
        CHECK(cudaEventRecord(done, streams[s]));
        CHECK(cudaStreamWaitEvent(streams[0], done, 0));
        CHECK(cudaEventDestroy(done));
    }
    CHECK(cudaStreamSynchronize(streams[0]));
    std::vector<float> found(y, y + right.size());
    for (int s = 0; s < STREAMS; ++s) {
        CHECK(cudaFree(d_x[s]));
        CHECK(cudaFree(d_y[s]));
        CHECK(cudaStreamDestroy(streams[s]));
    }
    CHECK(cudaFreeHost(x));
    CHECK(cudaFreeHost(y));
    return verdict("conv2d", distance(found, right), 1e-5);
}
