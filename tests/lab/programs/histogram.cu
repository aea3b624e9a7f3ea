// How often each letter occurs: a histogram with atomics, in global and in shared memory.
//
//     histogram [n]
//
// Every thread of the first kernel adds to one table in global memory, where all wait for all. In
// the second each block counts in a table of its own and adds it to the whole at the end. Lanes that
// meet in a cell go one after the other even there, as the lab's counters say at the line EXPECT.
#include "course.cuh"

constexpr int LETTERS = 26;

__device__ __forceinline__ int letter(unsigned char c)
{
    return c >= 'a' && c <= 'z' ? c - 'a' : -1;
}

__global__ void count_global(const unsigned char *text, unsigned int *bins, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    int at = i < n ? letter(text[i]) : -1;
    if (at >= 0) {
        atomicAdd(&bins[at], 1u);
    }
}

__global__ void count_shared(const unsigned char *text, unsigned int *bins, int n)
{
    extern __shared__ unsigned int mine[];
    for (int b = threadIdx.x; b < LETTERS; b += blockDim.x) {
        mine[b] = 0;
    }
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        int at = letter(text[i]);
        if (at >= 0) {
            atomicAdd(&mine[at], 1u);  // EXPECT bank-conflict
        }
    }
    __syncthreads();
    for (int b = threadIdx.x; b < LETTERS; b += blockDim.x) {
        if (mine[b] > 0) {
            atomicAdd(&bins[b], mine[b]);
        }
    }
}

int differences(const char *what, const unsigned int *bins, const std::vector<unsigned int> &right)
{
    double far = 0.0;
    for (int b = 0; b < LETTERS; ++b) {
        far = std::fmax(far, std::fabs(static_cast<double>(bins[b]) - right[b]));
    }
    return verdict(what, far, 0.0);
}

int main(int argc, char **argv)
{
    const int n = argument(argc, argv, 1, 12345);
    unsigned char *text;  // managed: the CPU writes it, the kernels read it
    unsigned int *bins;
    CHECK(cudaMallocManaged(&text, n));
    CHECK(cudaMallocManaged(&bins, LETTERS * sizeof(unsigned int)));
    std::vector<unsigned int> right(LETTERS, 0);
    unsigned seed = 7;
    for (int i = 0; i < n; ++i) {
        seed = seed * 1664525u + 1013904223u;
        int at = (seed >> 24) % (LETTERS + 4);  // some characters are no letters
        text[i] = static_cast<unsigned char>(at < LETTERS ? 'a' + at : ' ');
        if (at < LETTERS) {
            right[at] += 1;
        }
    }
    int blocks = 0, threads = 0;
    CHECK(cudaOccupancyMaxPotentialBlockSize(&blocks, &threads, count_shared,
                                             LETTERS * sizeof(unsigned int)));
    if (blocks > 4) {
        blocks = 4;
    }

    CHECK(cudaMemset(bins, 0, LETTERS * sizeof(unsigned int)));
    count_global<<<blocks_for(n, threads), threads>>>(text, bins, n);
    CHECK(cudaGetLastError());
    CHECK(cudaDeviceSynchronize());
    int wrong = differences("histogram, global atomics", bins, right);

    CHECK(cudaMemset(bins, 0, LETTERS * sizeof(unsigned int)));
    count_shared<<<blocks, threads, LETTERS * sizeof(unsigned int)>>>(text, bins, n);
    CHECK(cudaGetLastError());
    CHECK(cudaDeviceSynchronize());
    wrong += differences("histogram, a table for each block", bins, right);
    CHECK(cudaFree(text));
    CHECK(cudaFree(bins));
    return wrong;
}
