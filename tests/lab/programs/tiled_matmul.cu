// Matrix multiplication in tiles: C (m, n) = A (m, k) B (k, n), row-major, any sizes.
//
//     tiled_matmul [m n k]
//
// A block computes a tile of C. It walks along k; for each step its threads bring one tile of A
// and one of B into shared memory, where each number is used TILE times.
#include "course.cuh"

template <int TILE>
__global__ void __launch_bounds__(TILE *TILE)
    matmul(const float *__restrict__ a, const float *__restrict__ b, float *__restrict__ c, int m,
           int n, int k)
{
    __shared__ float as[TILE][TILE], bs[TILE][TILE];
    const int tx = threadIdx.x, ty = threadIdx.y;
    const int row = blockIdx.y * TILE + ty, column = blockIdx.x * TILE + tx;
    float sum = 0.0f;
    for (int first = 0; first < k; first += TILE) {
        as[ty][tx] = row < m && first + tx < k ? a[row * k + first + tx] : 0.0f;
        bs[ty][tx] = first + ty < k && column < n ? b[(first + ty) * n + column] : 0.0f;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < TILE; ++i) {
            sum += as[ty][i] * bs[i][tx];
        }
        __syncthreads();  // nobody may overwrite a tile that somebody still reads
    }
    if (row < m && column < n) {
        c[row * n + column] = sum;
    }
}

template <int TILE>
int run(const std::vector<float> &right, const float *a, const float *b, float *c, int m, int n,
        int k)
{
    dim3 block(TILE, TILE), grid(blocks_for(n, TILE), blocks_for(m, TILE));
    matmul<TILE><<<grid, block>>>(a, b, c, m, n, k);
    CHECK(cudaGetLastError());
    std::vector<float> found(right.size());
    CHECK(cudaMemcpy(found.data(), c, found.size() * sizeof(float), cudaMemcpyDeviceToHost));
    char what[64];
    std::snprintf(what, sizeof what, "matmul %d x %d x %d, tiles of %d", m, n, k, TILE);
    return verdict(what, distance(found, right), 1e-6 * k);
}

int main(int argc, char **argv)
{
    const int m = argument(argc, argv, 1, 70), n = argument(argc, argv, 2, 53);
    const int k = argument(argc, argv, 3, 44);
    std::vector<float> a = uniform(m * k, 4), b = uniform(k * n, 5), right(m * n);
    for (int i = 0; i < m; ++i) {
        for (int j = 0; j < n; ++j) {
            double sum = 0.0;
            for (int l = 0; l < k; ++l) {
                sum += static_cast<double>(a[i * k + l]) * b[l * n + j];
            }
            right[i * n + j] = static_cast<float>(sum);
        }
    }
    float *d_a, *d_b, *d_c;
    CHECK(cudaMalloc(&d_a, a.size() * sizeof(float)));
    CHECK(cudaMalloc(&d_b, b.size() * sizeof(float)));
    CHECK(cudaMalloc(&d_c, right.size() * sizeof(float)));
    CHECK(cudaMemcpy(d_a, a.data(), a.size() * sizeof(float), cudaMemcpyHostToDevice));
    CHECK(cudaMemcpy(d_b, b.data(), b.size() * sizeof(float), cudaMemcpyHostToDevice));
    int wrong = run<16>(right, d_a, d_b, d_c, m, n, k) + run<32>(right, d_a, d_b, d_c, m, n, k);
    CHECK(cudaFree(d_a));
    CHECK(cudaFree(d_b));
    CHECK(cudaFree(d_c));
    return wrong;
}
