// Layer norm of rows: y = (x - mean) / sqrt(variance + eps) * weight + bias, four numbers a load.
//
//     layer_norm [rows columns]        columns: a multiple of 4
//
// A block takes one row. Its warps are cooperative-group tiles; what they find is joined in shared
// memory. Two passes over the row: the mean first, then the squares of what is left.
#include "course.cuh"
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>

namespace cg = cooperative_groups;

constexpr int BLOCK = 128, TILES = BLOCK / 32;

struct alignas(8) Moments {
    float mean, rstd;
};

// The sum over the block, in every thread. `cells` is free again when all have left.
__device__ float sum_of_block(const cg::thread_block &block, float value, float *cells)
{
    auto tile = cg::tiled_partition<32>(block);
    value = cg::reduce(tile, value, cg::plus<float>());
    if (tile.thread_rank() == 0) {
        cells[tile.meta_group_rank()] = value;
    }
    block.sync();
    float sum = 0.0f;
    for (int i = 0; i < TILES; ++i) {
        sum += cells[i];
    }
    block.sync();
    return sum;
}

__global__ void layer_norm(const float4 *__restrict__ x, const float4 *__restrict__ weight,
                           const float4 *__restrict__ bias, float4 *__restrict__ y,
                           Moments *__restrict__ moments, int quads, float eps)
{
    __shared__ float cells[TILES];
    const auto block = cg::this_thread_block();
    const float columns = 4.0f * quads;
    x += blockIdx.x * quads;
    y += blockIdx.x * quads;

    float sum = 0.0f;
    for (int i = threadIdx.x; i < quads; i += blockDim.x) {
        const float4 q = x[i];
        sum += (q.x + q.y) + (q.z + q.w);
    }
    const float mean = sum_of_block(block, sum, cells) / columns;

    const auto square = [mean](float value) { return (value - mean) * (value - mean); };
    sum = 0.0f;
    for (int i = threadIdx.x; i < quads; i += blockDim.x) {
        const float4 q = x[i];
        sum += (square(q.x) + square(q.y)) + (square(q.z) + square(q.w));
    }
    const float rstd = rsqrtf(sum_of_block(block, sum, cells) / columns + eps);

    for (int i = threadIdx.x; i < quads; i += blockDim.x) {
        const float4 q = x[i], w = __ldg(&weight[i]), b = __ldg(&bias[i]);
        y[i] = make_float4((q.x - mean) * rstd * w.x + b.x, (q.y - mean) * rstd * w.y + b.y,
                           (q.z - mean) * rstd * w.z + b.z, (q.w - mean) * rstd * w.w + b.w);
    }
    if (block.thread_rank() == 0) {
        moments[blockIdx.x] = Moments{mean, rstd};
    }
}

float *on_device(const std::vector<float> &x)
{
    float *d;
    CHECK(cudaMalloc(&d, x.size() * sizeof(float)));
    CHECK(cudaMemcpy(d, x.data(), x.size() * sizeof(float), cudaMemcpyHostToDevice));
    return d;
}

int main(int argc, char **argv)
{
    const int rows = argument(argc, argv, 1, 9), columns = argument(argc, argv, 2, 300) / 4 * 4;
    const float eps = 1e-5f;
    std::vector<float> x = uniform(rows * columns, 11), weight = uniform(columns, 12);
    std::vector<float> bias = uniform(columns, 13), y(x.size()), right(x.size());
    std::vector<float> means(rows), right_means(rows);
    for (int r = 0; r < rows; ++r) {
        double mean = 0.0, variance = 0.0;
        for (int i = 0; i < columns; ++i) {
            mean += x[r * columns + i] / static_cast<double>(columns);
        }
        for (int i = 0; i < columns; ++i) {
            variance += std::pow(x[r * columns + i] - mean, 2) / columns;
        }
        for (int i = 0; i < columns; ++i) {
            double unit = (x[r * columns + i] - mean) / std::sqrt(variance + eps);
            right[r * columns + i] = static_cast<float>(unit * weight[i] + bias[i]);
        }
        right_means[r] = static_cast<float>(mean);
    }
    float *d_x = on_device(x), *d_weight = on_device(weight), *d_bias = on_device(bias), *d_y;
    Moments *d_moments;
    CHECK(cudaMalloc(&d_y, y.size() * sizeof(float)));
    CHECK(cudaMalloc(&d_moments, rows * sizeof(Moments)));
    layer_norm<<<rows, BLOCK>>>(
        reinterpret_cast<const float4 *>(d_x), reinterpret_cast<const float4 *>(d_weight),
        reinterpret_cast<const float4 *>(d_bias), reinterpret_cast<float4 *>(d_y), d_moments,
        columns / 4, eps);
    CHECK(cudaGetLastError());
    std::vector<Moments> moments(rows);
    CHECK(cudaMemcpy(y.data(), d_y, y.size() * sizeof(float), cudaMemcpyDeviceToHost));
    CHECK(cudaMemcpy(moments.data(), d_moments, rows * sizeof(Moments), cudaMemcpyDeviceToHost));
    for (int r = 0; r < rows; ++r) {
        means[r] = moments[r].mean;
    }
    for (void *p : {(void *)d_x, (void *)d_weight, (void *)d_bias, (void *)d_y,
                    (void *)d_moments}) {
        CHECK(cudaFree(p));
    }
    return verdict("layer_norm", distance(y, right), 1e-5)
           + verdict("layer_norm, the means", distance(means, right_means), 1e-6);
}
