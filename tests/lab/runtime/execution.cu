/* execution.cu: a case for each thing that test_execution.py says of threads, warps and blocks. */
#include <assert.h>
#include <cooperative_groups.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace cg = cooperative_groups;

static int *zeros(int n) {
    int *d;
    cudaMalloc(&d, n * sizeof(int));
    cudaMemset(d, 0, n * sizeof(int));
    return d;
}

static int value(const int *d, int i = 0) {
    int x = -1;
    cudaMemcpy(&x, d + i, sizeof x, cudaMemcpyDeviceToHost);
    return x;
}

static void tell() { printf("%s\n", cudaGetErrorName(cudaDeviceSynchronize())); }

/* ---- Barriers */

__global__ void early_return(int n, int *out) {
    if (threadIdx.x >= n)
        return;
    __syncthreads();
    atomicAdd(out, 1);
    __syncthreads();
    int odd = __syncthreads_count(threadIdx.x % 2);
    if (threadIdx.x == 0)
        out[1] = odd;
}

__global__ void two_barriers() {
    if (threadIdx.x < 16)
        __syncthreads(); // FIRST
    else
        __syncthreads(); // SECOND
}

__global__ void barrier_in_a_branch(int *flag) {
    if (threadIdx.x == 0)
        while (atomicAdd(flag, 0) == 0) { // SPINS
        }
    __syncthreads(); // WAITS
    flag[0] = 1;
}

__global__ void votes(int *out) {
    int odd = threadIdx.x % 2;
    int n = __syncthreads_count(odd), any = __syncthreads_or(threadIdx.x == 7);
    int all = __syncthreads_and(1), none = __syncthreads_and(odd);
    if (threadIdx.x == 0)
        out[0] = n * 1000 + any * 100 + all * 10 + none;
}

/* ---- Spinning */

__global__ void lock_by_all(int *lock, int *count) {
    while (atomicCAS(lock, 0, 1) != 0) {
    }
    *count += 1;
    __threadfence();
    atomicExch(lock, 0);
}

__global__ void chain(volatile int *flags) {
    if (blockIdx.x + 1 < gridDim.x)
        while (flags[blockIdx.x + 1] == 0) { // CHAIN
        }
    flags[blockIdx.x] = 1;
}

__global__ void ticket_barrier(int *count) {
    __syncthreads();
    if (threadIdx.x == 0) {
        atomicAdd(count, 1);
        while (atomicAdd(count, 0) < gridDim.x) {
        }
    }
    __syncthreads();
}

__global__ void looks_long(int *cell, int *out) {
    int sum = 0;
    for (int i = 0; i < 100000; i++)
        sum += atomicMax(cell, 0);
    *out = sum + 7;
}

__global__ void never_ends(int *p) {
    for (;;)
        p[0] = p[0] + 1;
}

/* ---- Shared memory, numbering */

template <class T> __device__ T *scratch() {
    __shared__ T cells[64];
    return cells;
}

__device__ float through_function(float v) {
    __shared__ float cell[2][32];
    cell[threadIdx.x / 32][threadIdx.x % 32] = v;
    __syncthreads();
    return cell[1 - threadIdx.x / 32][31 - threadIdx.x % 32];
}

__global__ void shared_everywhere(float *out) {
    extern __shared__ double dynamic[];
    float *f = scratch<float>();
    int *i = scratch<int>();
    f[threadIdx.x] = threadIdx.x;
    i[threadIdx.x] = 100 + threadIdx.x;
    dynamic[threadIdx.x] = 0.5;
    float other = through_function(threadIdx.x);
    out[blockIdx.x * 64 + threadIdx.x] = f[threadIdx.x] + i[threadIdx.x] + other
        + (float)dynamic[63 - threadIdx.x];
}

__global__ void number_warps(int *out) {
    int t = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    unsigned lanes = __ballot_sync(__activemask(), 1);
    int first = __shfl_sync(lanes, t, 0);
    out[t] = first * 100 + __popc(lanes);
}

/* ---- Warps */

__global__ void early_lane(float *out) {
    if (threadIdx.x >= 20)
        return;
    float v = __shfl_down_sync(0xffffffff, 1.0f * threadIdx.x, 16); // READS
    out[threadIdx.x] = v;
}

__global__ void left_out(int *out) {
    out[threadIdx.x] = __shfl_sync(0x0000ffff, threadIdx.x, 3); // MASK
}

__global__ void half_comes(int *out) {
    if (threadIdx.x < 16)
        out[threadIdx.x] = __ballot_sync(0xffffffff, 1); // VOTES
    else
        __syncthreads(); // ELSEWHERE
}

__global__ void activemask_in_branches(int *out) {
    unsigned mask;
    if (threadIdx.x < 12)
        mask = __activemask();
    else
        mask = __activemask();
    out[threadIdx.x] = __popc(mask) * 100 + __shfl_sync(mask, threadIdx.x, __ffs(mask) - 1);
}

__global__ void sync_of_halves(int *out) {
    __shared__ int cell[32];
    unsigned half = threadIdx.x < 16 ? 0xffff : 0xffff0000;
    cell[threadIdx.x] = threadIdx.x;
    __syncwarp(half);
    out[threadIdx.x] = cell[threadIdx.x ^ 1];
}

/* ---- Grids */

__global__ void whole_grid(int *cells, int *out) {
    cg::grid_group grid = cg::this_grid();
    cells[grid.thread_rank()] = 1;
    grid.sync(); // GRID
    if (grid.thread_rank() == 0) {
        int sum = 0;
        for (int i = 0; i < (int)grid.size(); i++)
            sum += cells[i];
        *out = sum;
    }
    grid.sync();
    if (threadIdx.x == 0)
        atomicAdd(out, 1);
}

__global__ void part_of_grid(int *out) {
    if (blockIdx.x == 1)
        return;
    cg::this_grid().sync(); // ALL
    *out = 1;
}

__global__ void place_of_block(int *out) {
    int b = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    if (threadIdx.x == 0)
        out[b] = b + 1;
}

/* ---- Output, assertions, faults */

__global__ void says() { printf("thread %d of block %d\n", threadIdx.x, blockIdx.x); }
__global__ void one_line() {
    if (threadIdx.x == 0)
        printf("a line without numbers\n");
}
__global__ void asserts(int n) { assert(threadIdx.x < n); } // ASSERT
__global__ void traps() { __trap(); } // TRAP
__global__ void through_null(int *p) { p[threadIdx.x] = 1; }
__global__ void divides(int *p, int by) { p[0] = 7 / by; }
__device__ int down(int n, int *p) {
    volatile int room[64];
    room[n % 64] = n;
    return n == 0 ? 0 : down(n - 1, p) + room[n % 64] + p[0];
}
__global__ void recurses(int *p) { p[1] = down(1 << 20, p); }

/* a * b - c is 0 if the product is rounded, and its rounding error if it is fused. */
__global__ void contracts(float a, float c, float *out) {
    out[0] = a * a - c;
    out[1] = fmaf(a, a, -c);
}

__global__ void big_shared() {
    __shared__ double much[6000];
    __shared__ double more[200]; // MORE
    much[threadIdx.x] = more[threadIdx.x] = 0;
}

__global__ void order(int *out) { // each thread writes how many came before it
    out[threadIdx.x] = atomicAdd(&out[64], 1);
}

int main(int argc, char **argv) {
    const char *name = argv[1];
    auto is = [&](const char *other) { return strcmp(name, other) == 0; };
    int *d = zeros(8192);
    float *f;
    cudaMalloc(&f, 4096);

    if (is("early_return")) {
        early_return<<<1, 64>>>(40, d);
        printf("%d %d\n", value(d), value(d, 1));
    } else if (is("two_barriers")) {
        two_barriers<<<1, 32>>>();
        tell();
    } else if (is("barrier_in_a_branch")) {
        barrier_in_a_branch<<<1, 64>>>(d);
        tell();
        printf("%s\n", cudaGetErrorName(cudaMalloc(&d, 4)));
    } else if (is("votes")) {
        votes<<<1, 64>>>(d);
        printf("%d\n", value(d));
    } else if (is("lock_by_all")) {
        lock_by_all<<<16, 64>>>(d, d + 1);
        printf("%d\n", value(d, 1));
    } else if (is("chain")) {
        chain<<<atoi(argv[2]), 32>>>(d);
        tell();
    } else if (is("ticket_barrier")) {
        ticket_barrier<<<200, 64>>>(d);
        tell();
        printf("%d\n", value(d));
    } else if (is("looks_long")) {
        looks_long<<<1, 1>>>(d, d + 1);
        printf("%d\n", value(d, 1));
    } else if (is("never_ends")) {
        never_ends<<<2, 32>>>(d);
        tell();
    } else if (is("shared_everywhere")) {
        float got[128];
        shared_everywhere<<<2, 64, 64 * sizeof(double)>>>(f);
        cudaMemcpy(got, f, sizeof got, cudaMemcpyDeviceToHost);
        for (int i = 0; i < 128; i++) {
            int t = i % 64, other = (1 - t / 32) * 32 + 31 - t % 32;
            if (got[i] != t + 100 + t + other + 0.5f)
                printf("wrong at %d\n", i);
        }
        printf("done\n");
    } else if (is("number_warps")) {
        number_warps<<<1, dim3(5, 4, 3)>>>(d);
        printf("%d %d %d %d\n", value(d), value(d, 31), value(d, 32), value(d, 59));
    } else if (is("early_lane")) {
        early_lane<<<1, 32>>>(f);
        tell();
    } else if (is("left_out")) {
        left_out<<<1, 32>>>(d);
        tell();
        printf("%d\n", value(d, 5));
    } else if (is("half_comes")) {
        half_comes<<<1, 32>>>(d);
        tell();
    } else if (is("activemask_in_branches")) {
        activemask_in_branches<<<1, 32>>>(d);
        printf("%d %d\n", value(d, 3), value(d, 20));
    } else if (is("sync_of_halves")) {
        sync_of_halves<<<1, 32>>>(d);
        printf("%d %d\n", value(d, 4), value(d, 31));
    } else if (is("whole_grid")) {
        int *out = d + 8000;
        void *arguments[] = {&d, &out};
        printf("%s\n", cudaGetErrorName(cudaLaunchCooperativeKernel(
                           (void *)whole_grid, dim3(atoi(argv[2])), dim3(64), arguments)));
        printf("%d\n", value(out));
    } else if (is("part_of_grid")) {
        void *arguments[] = {&d};
        cudaLaunchCooperativeKernel((void *)part_of_grid, dim3(3), dim3(64), arguments);
        tell();
    } else if (is("grid_sync_alone")) {
        whole_grid<<<2, 64>>>(d, d + 8000);
        tell();
    } else if (is("place_of_block")) {
        place_of_block<<<dim3(7, 5, 3), 96>>>(d);
        int wrong = 0;
        for (int b = 0; b < 105; b++)
            wrong += value(d, b) != b + 1;
        printf("%d\n", wrong);
    } else if (is("says")) {
        says<<<2, 2>>>();
        printf("before\n");
        cudaDeviceSynchronize();
        printf("after\n");
        one_line<<<1, 32>>>();
        value(d);
    } else if (is("says_in_vain")) {
        says<<<2, 2>>>();
    } else if (is("asserts")) {
        asserts<<<1, 8>>>(4);
        tell();
    } else if (is("traps")) {
        traps<<<1, 1>>>();
        tell();
    } else if (is("through_null")) {
        through_null<<<1, 4>>>(nullptr);
        printf("%s\n", cudaGetErrorName(cudaGetLastError()));
        tell();
        printf("%s\n", cudaGetErrorName(cudaFree(d)));
        cudaDeviceReset();
        printf("%s\n", cudaGetErrorName(cudaGetLastError()));
    } else if (is("divides")) {
        divides<<<1, 1>>>(d, 0);
        tell();
    } else if (is("recurses")) {
        recurses<<<1, 2>>>(d);
        tell();
    } else if (is("contracts")) {
        float a = 1 + 1.0f / 4096, got[2];
        contracts<<<1, 1>>>(a, a * a, f);
        cudaMemcpy(got, f, sizeof got, cudaMemcpyDeviceToHost);
        printf("%g %g\n", got[0], got[1]);
    } else if (is("big_shared")) {
        big_shared<<<1, 32>>>();
        tell();
    } else if (is("order")) {
        order<<<1, 64>>>(d);
        for (int i = 0; i < 64; i++)
            printf("%d\n", value(d, i));
    } else if (is("fork")) {
        lock_by_all<<<100, 64>>>(d, d + 1);
        fflush(stdout);
        if (fork() == 0) {
            lock_by_all<<<100, 64>>>(d, d + 1);
            printf("child %d\n", value(d, 1));
            fflush(stdout);
            _exit(0);
        }
        usleep(300000);
        lock_by_all<<<100, 64>>>(d, d + 1);
        printf("parent %d\n", value(d, 1));
    } else {
        return 3;
    }
    return 0;
}
