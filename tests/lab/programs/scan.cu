// Inclusive scan (prefix sums) of any length: within blocks, over the blocks' totals, added back.
//
//     scan [n]
#include "course.cuh"

constexpr int BLOCK = 256;

// The sums up to and with each thread of a block (Hillis and Steele). Two buffers take turns, so
// that one barrier a step is enough.
template <typename T> __device__ T scan_block(T value)
{
    __shared__ T buffer[2][BLOCK];
    const int t = threadIdx.x;
    int now = 0;
    buffer[now][t] = value;
    __syncthreads();
    for (int step = 1; step < BLOCK; step *= 2) {
        value = buffer[now][t];
        if (t >= step) {
            value += buffer[now][t - step];
        }
        now = 1 - now;
        buffer[now][t] = value;
        __syncthreads();
    }
    return value;
}

template <typename T> __global__ void scan_tiles(const T *x, T *y, T *totals, int n)
{
    const int i = blockIdx.x * BLOCK + threadIdx.x;
    T value = scan_block<T>(i < n ? x[i] : T(0));
    if (i < n) {
        y[i] = value;
    }
    if (threadIdx.x == BLOCK - 1) {
        totals[blockIdx.x] = value;
    }
}

// Every block after the first adds what all before it came to.
template <typename T> __global__ void add_before(T *y, const T *totals, int n)
{
    const int i = (blockIdx.x + 1) * BLOCK + threadIdx.x;
    if (i < n) {
        y[i] += totals[blockIdx.x];
    }
}

template <typename T> void scan(const T *x, T *y, int n)
{
    const int blocks = blocks_for(n, BLOCK);
    T *totals;
    CHECK(cudaMalloc(&totals, blocks * sizeof(T)));
    scan_tiles<T><<<blocks, BLOCK>>>(x, y, totals, n);
    CHECK(cudaGetLastError());
    if (blocks > 1) {
        scan<T>(totals, totals, blocks);
        add_before<<<blocks - 1, BLOCK>>>(y, totals, n);
        CHECK(cudaGetLastError());
    }
    CHECK(cudaFree(totals));
}

template <typename T> int run(const char *what, const std::vector<T> &x, double bound)
{
    const int n = static_cast<int>(x.size());
    T *d_x, *d_y;
    CHECK(cudaMalloc(&d_x, n * sizeof(T)));
    CHECK(cudaMalloc(&d_y, n * sizeof(T)));
    CHECK(cudaMemcpy(d_x, x.data(), n * sizeof(T), cudaMemcpyHostToDevice));
    scan(d_x, d_y, n);
    std::vector<T> y(n);
    CHECK(cudaMemcpy(y.data(), d_y, n * sizeof(T), cudaMemcpyDeviceToHost));
    T sum = 0;
    double far = 0.0;
    for (int i = 0; i < n; ++i) {
        sum += x[i];
        far = std::fmax(far, std::fabs(static_cast<double>(y[i]) - static_cast<double>(sum)));
    }
    CHECK(cudaFree(d_x));
    CHECK(cudaFree(d_y));
    return verdict(what, far, bound);
}

int main(int argc, char **argv)
{
    const int n = argument(argc, argv, 1, 3001);
    std::vector<int> whole(n);
    std::vector<double> real(n);
    std::vector<float> drawn = uniform(n, 8);
    for (int i = 0; i < n; ++i) {
        whole[i] = static_cast<int>(drawn[i] * 100.0f);
        real[i] = drawn[i];
    }
    return run("scan of int", whole, 0.0) + run("scan of double", real, 1e-12 * n);
}
