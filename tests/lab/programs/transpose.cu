// A matrix transposed three ways: by columns, through a tile, and through a padded tile.
//
//     transpose [rows columns]
//
// The first two are slow on purpose, and the lab's counters say so at the lines marked EXPECT: the
// naive store jumps a row for each lane, and the columns of a 32-wide tile lie in one bank.
#include "course.cuh"

constexpr int TILE = 32, ROWS = 8;  // a block of 32 x 8 threads moves a tile of 32 x 32

__global__ void naive(const float *x, float *y, int rows, int columns)
{
    int j = blockIdx.x * TILE + threadIdx.x;
    for (int i = blockIdx.y * TILE + threadIdx.y; i < (blockIdx.y + 1) * TILE; i += ROWS) {
        if (i < rows && j < columns) {
            y[j * rows + i] = x[i * columns + j];  // EXPECT uncoalesced
        }
    }
}

// Both ways through shared memory are along rows of global memory.
template <int PAD> __device__ void through_tile(const float *x, float *y, int rows, int columns)
{
    __shared__ float tile[TILE][TILE + PAD];
    int j = blockIdx.x * TILE + threadIdx.x, i0 = blockIdx.y * TILE;
    for (int i = threadIdx.y; i < TILE; i += ROWS) {
        if (i0 + i < rows && j < columns) {
            tile[i][threadIdx.x] = x[(i0 + i) * columns + j];
        }
    }
    __syncthreads();
    int i = i0 + threadIdx.x, j0 = blockIdx.x * TILE;
    for (int k = threadIdx.y; k < TILE; k += ROWS) {
        if (i < rows && j0 + k < columns) {
            y[(j0 + k) * rows + i] = tile[threadIdx.x][k];  // EXPECT bank-conflict
        }
    }
}

__global__ void tiled(const float *x, float *y, int rows, int columns)
{
    through_tile<0>(x, y, rows, columns);
}

__global__ void padded(const float *x, float *y, int rows, int columns)
{
    through_tile<1>(x, y, rows, columns);
}

int main(int argc, char **argv)
{
    const int rows = argument(argc, argv, 1, 100), columns = argument(argc, argv, 2, 76);
    const size_t bytes = sizeof(float) * rows * columns;
    std::vector<float> x = uniform(rows * columns, 9), y(x.size()), right(x.size());
    for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < columns; ++j) {
            right[j * rows + i] = x[i * columns + j];
        }
    }
    float *d_x, *d_y;
    CHECK(cudaMalloc(&d_x, bytes));
    CHECK(cudaMalloc(&d_y, bytes));
    CHECK(cudaMemcpy(d_x, x.data(), bytes, cudaMemcpyDefault));
    const dim3 grid(blocks_for(columns, TILE), blocks_for(rows, TILE)), block(TILE, ROWS);

    auto check = [&](const char *what) {
        CHECK(cudaGetLastError());
        CHECK(cudaMemcpy(y.data(), d_y, bytes, cudaMemcpyDefault));
        return verdict(what, distance(y, right), 0.0);
    };
    naive<<<grid, block>>>(d_x, d_y, rows, columns);
    int wrong = check("transpose, naive");
    tiled << <grid, block >> > (d_x, d_y, rows, columns);  // as people type it
    wrong += check("transpose, tiled");
    padded<<<grid, block, 0>>>(d_x, d_y, rows, columns);
    wrong += check("transpose, padded");
    CHECK(cudaFree(d_x));
    CHECK(cudaFree(d_y));
    return wrong;
}
