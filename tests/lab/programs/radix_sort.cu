// Radix sort of unsigned numbers, four bits a pass; a pass keeps the order of equals.
//
//     radix_sort [n]
//
// A pass counts the digits of each block, scans the counts (digit by digit, and block by block
// within a digit), and scatters. The rank of a number among its equals comes from votes: a lane
// sees in a ballot which lanes before it have the same digit. Scattering is uncoalesced by nature
// and counting makes lanes meet, and the lab's counters say so at the lines marked EXPECT.
#include "course.cuh"
#include <algorithm>

constexpr int BITS = 4, DIGITS = 1 << BITS;
constexpr int BLOCK = 128, WARPS = BLOCK / 32;
constexpr unsigned ALL = 0xffffffff;

__device__ __forceinline__ unsigned digit_of(unsigned key, int shift)
{
    return (key >> shift) & (DIGITS - 1);
}

// counts (DIGITS, blocks): how often a block has a digit
extern "C" __global__ void count_digits(const unsigned *keys, unsigned *counts, int n, int shift)
{
    __shared__ unsigned mine[DIGITS];
    const int t = threadIdx.x, i = blockIdx.x * BLOCK + t;
    if (t < DIGITS) {
        mine[t] = 0;
    }
    __syncthreads();
    if (i < n) {
        atomicAdd(&mine[digit_of(keys[i], shift)], 1u);  // EXPECT bank-conflict
    }
    __syncthreads();
    if (t < DIGITS) {
        counts[t * gridDim.x + blockIdx.x] = mine[t];  // EXPECT uncoalesced
    }
}

// Exclusive sums of m counts, in place, by one warp that carries the sum along.
extern "C" __global__ void scan_counts(unsigned *counts, int m)
{
    const unsigned lane = threadIdx.x;
    unsigned before = 0;
    for (int first = 0; first < m; first += 32) {
        const int i = first + lane;
        const unsigned own = i < m ? counts[i] : 0;
        unsigned sum = own;
        for (unsigned step = 1; step < 32; step *= 2) {
            unsigned left = __shfl_up_sync(ALL, sum, step);
            sum += lane >= step ? left : 0;
        }
        if (i < m) {
            counts[i] = before + sum - own;
        }
        before += __shfl_sync(ALL, sum, 31);
    }
}

// starts (DIGITS, blocks): where a block's first number with a digit belongs
extern "C" __global__ void scatter(const unsigned *keys, unsigned *sorted, const unsigned *starts,
                                   int n, int shift)
{
    __shared__ unsigned of_warp[WARPS][DIGITS];
    const int t = threadIdx.x, lane = t % 32, warp = t / 32, i = blockIdx.x * BLOCK + t;
    const bool inside = i < n;
    const unsigned key = inside ? keys[i] : 0, digit = digit_of(key, shift);
    unsigned equals = __ballot_sync(ALL, inside);
    for (int bit = 0; bit < BITS; ++bit) {
        const unsigned set = digit >> bit & 1;
        equals &= __ballot_sync(ALL, set) ^ (set - 1);  // the votes, or their opposite
    }
    if (lane < DIGITS) {
        of_warp[warp][lane] = 0;
    }
    __syncwarp();
    const unsigned rank = __popc(equals & ((1u << lane) - 1));
    if (inside && rank == 0) {
        of_warp[warp][digit] = __popc(equals);  // one lane speaks for its equals
    }
    __syncthreads();
    if (inside) {
        unsigned to = starts[digit * gridDim.x + blockIdx.x] + rank;  // EXPECT uncoalesced
        for (int w = 0; w < warp; ++w) {
            to += of_warp[w][digit];
        }
        sorted[to] = key;  // EXPECT uncoalesced
    }
}

int main(int argc, char **argv)
{
    const int n = argument(argc, argv, 1, 1600), blocks = blocks_for(n, BLOCK);
    std::vector<unsigned> keys(n), right, found(n);
    unsigned seed = 17;
    for (unsigned &key : keys) {
        seed = seed * 1664525u + 1013904223u;
        key = seed ^ (seed >> 13);
    }
    right = keys;
    std::sort(right.begin(), right.end());

    unsigned *from, *to, *counts;
    CHECK(cudaMalloc(&from, n * sizeof(unsigned)));
    CHECK(cudaMalloc(&to, n * sizeof(unsigned)));
    CHECK(cudaMalloc(&counts, DIGITS * blocks * sizeof(unsigned)));
    CHECK(cudaMemcpy(from, keys.data(), n * sizeof(unsigned), cudaMemcpyHostToDevice));
    for (int shift = 0; shift < 32; shift += BITS) {
        count_digits<<<blocks, BLOCK>>>(from, counts, n, shift);
        scan_counts<<<1, 32>>>(counts, DIGITS * blocks);
        scatter<<<blocks, BLOCK>>>(from, to, counts, n, shift);
        CHECK(cudaGetLastError());
        std::swap(from, to);
    }
    CHECK(cudaMemcpy(found.data(), from, n * sizeof(unsigned), cudaMemcpyDeviceToHost));
    int misplaced = 0;
    for (int i = 0; i < n; ++i) {
        misplaced += found[i] != right[i];
    }
    CHECK(cudaFree(from));
    CHECK(cudaFree(to));
    CHECK(cudaFree(counts));
    return verdict("radix_sort", misplaced, 0.0);
}
