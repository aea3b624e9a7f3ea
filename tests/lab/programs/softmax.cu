// Softmax of rows in float, half and bfloat16: a warp for a short row, a block for a long one.
//
//     softmax [rows columns]
//
// Sums and maxima are in float whatever the rows are. The second kernel is "online": it carries the
// maximum so far and the sum of exp(x - maximum), and rescales the sum when the maximum grows.
#include "course.cuh"
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <type_traits>

constexpr unsigned ALL = 0xffffffff;
constexpr int WARPS = 4, BLOCK = 32 * WARPS;

template <typename T> __host__ __device__ T from_float(float value)
{
    if constexpr (std::is_same_v<T, __half>) {
        return __float2half(value);
    } else if constexpr (std::is_same_v<T, __nv_bfloat16>) {
        return __float2bfloat16(value);
    } else {
        return value;
    }
}

// One warp a row, WARPS rows a block.
template <typename T> __global__ void by_warps(const T *x, T *y, int rows, int columns)
{
    const int lane = threadIdx.x, row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) {
        return;  // the whole warp leaves
    }
    x += row * columns;
    y += row * columns;
    float most = -INFINITY;
    for (int i = lane; i < columns; i += warpSize) {
        most = fmaxf(most, static_cast<float>(x[i]));
    }
    for (int offset = 16; offset > 0; offset >>= 1) {
        most = fmaxf(most, __shfl_xor_sync(ALL, most, offset));
    }
    float sum = 0.0f;
    for (int i = lane; i < columns; i += warpSize) {
        sum += __expf(static_cast<float>(x[i]) - most);
    }
    for (int offset = 16; offset > 0; offset >>= 1) {
        sum += __shfl_xor_sync(ALL, sum, offset);
    }
    for (int i = lane; i < columns; i += warpSize) {
        y[i] = from_float<T>(__expf(static_cast<float>(x[i]) - most) / sum);
    }
}

struct Running {
    float most, sum;
};

__device__ Running joined(Running a, Running b)
{
    float most = fmaxf(a.most, b.most);
    if (most == -INFINITY) {
        return {most, 0.0f};
    }
    return {most, a.sum * expf(a.most - most) + b.sum * expf(b.most - most)};
}

// One block a row. Dynamic shared memory holds a Running for each warp.
template <typename T> __global__ void by_blocks(const T *x, T *y, int columns)
{
    extern __shared__ Running of_warp[];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    x += blockIdx.x * columns;
    y += blockIdx.x * columns;
    Running mine{-INFINITY, 0.0f};
    for (int i = threadIdx.x; i < columns; i += blockDim.x) {
        mine = joined(mine, {static_cast<float>(x[i]), 1.0f});
    }
    for (int offset = 16; offset > 0; offset >>= 1) {
        mine = joined(mine, {__shfl_xor_sync(ALL, mine.most, offset),
                             __shfl_xor_sync(ALL, mine.sum, offset)});
    }
    if (lane == 0) {
        of_warp[warp] = mine;
    }
    __syncthreads();
    Running row = of_warp[0];
    for (int w = 1; w < blockDim.x / 32; ++w) {
        row = joined(row, of_warp[w]);
    }
    for (int i = threadIdx.x; i < columns; i += blockDim.x) {
        y[i] = from_float<T>(expf(static_cast<float>(x[i]) - row.most) / row.sum);
    }
}

template <typename T> int run(const char *name, int rows, int columns, double bound)
{
    const int n = rows * columns;
    std::vector<float> drawn = uniform(n, 10), right(n), found(n);
    std::vector<T> x(n), y(n);
    for (int i = 0; i < n; ++i) {
        x[i] = from_float<T>(8.0f * drawn[i]);
    }
    for (int r = 0; r < rows; ++r) {
        double most = -INFINITY, sum = 0.0;
        for (int i = r * columns; i < (r + 1) * columns; ++i) {
            most = std::fmax(most, static_cast<double>(static_cast<float>(x[i])));
        }
        for (int i = r * columns; i < (r + 1) * columns; ++i) {
            sum += std::exp(static_cast<float>(x[i]) - most);
        }
        for (int i = r * columns; i < (r + 1) * columns; ++i) {
            right[i] = static_cast<float>(std::exp(static_cast<float>(x[i]) - most) / sum);
        }
    }
    T *d_x, *d_y;
    CHECK(cudaMalloc(&d_x, n * sizeof(T)));
    CHECK(cudaMalloc(&d_y, n * sizeof(T)));
    CHECK(cudaMemcpy(d_x, x.data(), n * sizeof(T), cudaMemcpyHostToDevice));
    int wrong = 0;
    for (bool blocks : {false, true}) {
        CHECK(cudaMemset(d_y, 0, n * sizeof(T)));
        if (blocks) {
            by_blocks<T><<<rows, BLOCK, WARPS * sizeof(Running)>>>(d_x, d_y, columns);
        } else {
            by_warps<T><<<blocks_for(rows, WARPS), dim3(32, WARPS)>>>(d_x, d_y, rows, columns);
        }
        CHECK(cudaGetLastError());
        CHECK(cudaMemcpy(y.data(), d_y, n * sizeof(T), cudaMemcpyDeviceToHost));
        for (int i = 0; i < n; ++i) {
            found[i] = static_cast<float>(y[i]);
        }
        char what[64];
        std::snprintf(what, sizeof what, "softmax of %s, a %s a row", name,
                      blocks ? "block" : "warp");
        wrong += verdict(what, distance(found, right), bound);
    }
    CHECK(cudaFree(d_x));
    CHECK(cudaFree(d_y));
    return wrong;
}

int main(int argc, char **argv)
{
    const int rows = argument(argc, argv, 1, 10), columns = argument(argc, argv, 2, 100);
    return run<float>("float", rows, columns, 1e-6) + run<__half>("half", rows, columns, 5e-4)
           + run<__nv_bfloat16>("bfloat16", rows, columns, 4e-3);
}
